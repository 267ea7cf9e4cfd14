from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messenger', '0003_roster_run'),
    ]

    operations = [
        migrations.CreateModel(
            name='QueuePulse',
            fields=[
                ('queue', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('first_at', models.DateTimeField()),
                ('done_at', models.DateTimeField()),
                ('worker', models.CharField(blank=True, default='', max_length=200)),
            ],
        ),
    ]
