"""Tell Django of the columns for a call's stages, which 0002 has added."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """State only."""

    dependencies = [("analytics", "0002_rollups")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name="requestlog",
                    name="auth_us",
                    field=models.BigIntegerField(
                        blank=True,
                        help_text="Microseconds until the caller was known.",
                        null=True,
                        verbose_name="time to authentication",
                    ),
                ),
                migrations.AddField(
                    model_name="requestlog",
                    name="limit_us",
                    field=models.BigIntegerField(
                        blank=True,
                        help_text="Microseconds until rules and limits had let the call pass.",
                        null=True,
                        verbose_name="time to admission",
                    ),
                ),
            ],
        ),
    ]
