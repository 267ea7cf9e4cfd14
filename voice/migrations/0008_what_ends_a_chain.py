from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('voice', '0007_log_rest_as_text'),
    ]

    operations = [
        migrations.AddField(
            model_name='voicesettings',
            name='stop_on',
            field=models.CharField(choices=[('confirm', 'They press 0'), ('live', 'A person answers'), ('machine', 'A person or an answering machine answers')], default='confirm', max_length=7, verbose_name="A person's other phones are left alone when"),
        ),
    ]
