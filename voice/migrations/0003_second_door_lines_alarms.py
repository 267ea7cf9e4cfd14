import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messenger', '0004_queuepulse'),
        ('voice', '0002_batch_storage'),
    ]

    operations = [
        migrations.AddField(
            model_name='voicesettings',
            name='dialer_emergency_lines',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='dialer_lines',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='emergency_lines',
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='Emergency lines'),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='lines',
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='Lines'),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='password_set_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='password_set_by',
            field=models.CharField(blank=True, default='', max_length=310),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='second_checked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='second_state',
            field=models.CharField(choices=[('unverified', 'Not verified'), ('verified', 'Verified'), ('refused', 'Refused')], default='unverified', max_length=10),
        ),
        migrations.AddField(
            model_name='voicesettings',
            name='second_trouble',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.CreateModel(
            name='EmergencyAlarm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('raised_at', models.DateTimeField()),
                ('claimed_at', models.DateTimeField(null=True)),
                ('notified_at', models.DateTimeField(null=True)),
                ('notified', models.PositiveIntegerField(default=0, help_text='Addresses that took the notice.')),
                ('ended_at', models.DateTimeField(null=True)),
                ('end_claimed_at', models.DateTimeField(null=True)),
                ('end_notified_at', models.DateTimeField(null=True)),
                ('message', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='emergency_alarm', to='messenger.message')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['raised_at'], name='alarm_standing')],
            },
        ),
    ]
