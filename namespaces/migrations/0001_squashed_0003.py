"""All that the replaced migrations make, at once: a new database need not go through every step of theirs."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import namespaces.address_columns
import namespaces.fields
import namespaces.validators
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from namespaces.trigger_operations import AddTriggers


class Migration(migrations.Migration):

    replaces = [('namespaces', '0001_initial'), ('namespaces', '0002_importedconfiguration'), ('namespaces', '0003_protection')]

    initial = True

    dependencies = [
        ('pghistory', '0007_auto_20250421_0444'),
    ]

    operations = [
        migrations.CreateModel(
            name='ConfigurationChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ImportedConfiguration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(help_text="The file's absolute path.", max_length=4096, unique=True)),
                ('digest', models.CharField(help_text='HMAC-SHA-256 of the file and of the variables it uses.', max_length=64)),
                ('imported_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['source'],
            },
        ),
        migrations.CreateModel(
            name='Namespace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('addresses_mode', models.CharField(choices=[('all', 'any address'), ('listed', 'only the networks listed')], default='all', help_text='With “only the networks listed”, an empty list lets nobody in.', max_length=8, verbose_name='callers come from')),
                ('addresses_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.', size=None, validators=[namespaces.address_columns.validate_networks], verbose_name='listed networks')),
                ('tools_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which tools pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='tools allowed')),
                ('tools_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed tools')),
                ('tools_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied tools')),
                ('prompts_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which prompts pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='prompts allowed')),
                ('prompts_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed prompts')),
                ('prompts_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied prompts')),
                ('resources_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which resources pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='resources allowed')),
                ('resources_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed resources')),
                ('resources_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied resources')),
                ('slug', models.SlugField(help_text='Clients call /mcp/<name>. Lower case; it cannot be changed without telling them.', max_length=64, unique=True, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='Shown to the people who may use it.', max_length=500)),
                ('identical_calls', models.PositiveIntegerField(blank=True, help_text="How often a key may call a tool with the very same arguments within the window below. 0: as often as it likes. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(1000000)], verbose_name='identical calls')),
                ('identical_window_s', models.FloatField(blank=True, help_text="Seconds from the first of them; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='window for identical calls')),
                ('progress_extends_total', models.BooleanField(default=False, help_text="A call may last longer than the server's total timeout, as long as the server reports progress.", verbose_name='progress extends the total timeout')),
                ('enabled', models.BooleanField(default=True, help_text='A disabled namespace looks as if it did not exist.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$')), name='namespace_slug_form'), models.CheckConstraint(condition=models.Q(('tools_mode__in', ['all', 'listed', 'none'])), name='namespace_tools_mode'), models.CheckConstraint(condition=models.Q(('prompts_mode__in', ['all', 'listed', 'none'])), name='namespace_prompts_mode'), models.CheckConstraint(condition=models.Q(('resources_mode__in', ['all', 'listed', 'none'])), name='namespace_resources_mode'), models.CheckConstraint(condition=models.Q(('addresses_mode__in', ['all', 'listed'])), name='namespace_addresses_mode')],
            },
        ),
        migrations.CreateModel(
            name='Upstream',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text='Short name in lower case, such as github. It shows in logs and dashboards.', max_length=64, unique=True, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What this server is for.', max_length=500)),
                ('transport', models.CharField(choices=[('streamable-http', 'Streamable HTTP')], default='streamable-http', max_length=32)),
                ('url', models.CharField(help_text="The server's MCP endpoint, such as https://mcp.example.com/mcp.", max_length=2000, validators=[namespaces.validators.validate_upstream_url], verbose_name='URL')),
                ('era', models.CharField(choices=[('auto', 'find out'), ('modern', '2026-07-28 and later (stateless)'), ('legacy', 'up to 2025-11-25 (sessions)')], default='auto', help_text='Leave it at “find out” unless the server answers the probe wrongly.', max_length=8, verbose_name='protocol era')),
                ('detected_era', models.CharField(blank=True, editable=False, max_length=8)),
                ('connect_timeout_s', models.FloatField(blank=True, help_text="How long a connection may take. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='connect timeout')),
                ('first_byte_timeout_s', models.FloatField(blank=True, help_text="How long the server may think before its answer begins. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='first-byte timeout')),
                ('idle_timeout_s', models.FloatField(blank=True, help_text="How long an answer may pause. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='idle timeout')),
                ('total_timeout_s', models.FloatField(blank=True, help_text="How long one call may take as a whole. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='total timeout')),
                ('max_response_bytes', models.PositiveBigIntegerField(blank=True, help_text="Bytes; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1024)], verbose_name='largest answer')),
                ('health_interval_s', models.FloatField(blank=True, help_text="Seconds between two checks whether the server answers; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='health check every')),
                ('max_concurrency', models.PositiveIntegerField(blank=True, help_text="Calls in flight to this server, over all workers of a host. Blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(60000)], verbose_name='most calls at once')),
                ('queue_length', models.PositiveIntegerField(blank=True, help_text="How many more calls may wait for one to end. 0: none, they are refused at once. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(60000)], verbose_name='queue')),
                ('queue_wait_s', models.FloatField(blank=True, help_text="How long they may wait before they are refused. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(600)], verbose_name='wait in the queue')),
                ('circuit_breaker_threshold', models.PositiveIntegerField(blank=True, help_text="After so many failures in a row calls are refused at once for a while. 0: never. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(10000)], verbose_name='failures that open the circuit')),
                ('circuit_breaker_timeout', models.FloatField(blank=True, help_text="How long they are refused, unless a check finds the server well before. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(86400)], verbose_name='open for')),
                ('max_retries', models.PositiveIntegerField(blank=True, help_text="How often a call is sent again that cannot have been run, because no connection was made. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(10)], verbose_name='retries')),
                ('trust_annotations', models.BooleanField(default=False, help_text='Also repeat calls that broke off or were answered 502 to 504, where the tool calls itself read-only or idempotent. The server itself says so; believe only one that you trust.', verbose_name='believe tool annotations')),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Labels, one a line.', size=None)),
                ('enabled', models.BooleanField(default=True, help_text='A disabled server answers nobody.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$')), name='upstream_slug_form'), models.CheckConstraint(condition=models.Q(('url__regex', '^https?://')), name='upstream_url_scheme'), models.CheckConstraint(condition=models.Q(('era__in', ['auto', 'modern', 'legacy'])), name='upstream_era'), models.CheckConstraint(condition=models.Q(('transport__in', ['streamable-http'])), name='upstream_transport')],
            },
        ),
        migrations.CreateModel(
            name='CatalogueEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('tool', 'Tool'), ('prompt', 'Prompt'), ('resource', 'Resource'), ('template', 'resource template')], max_length=8)),
                ('name', models.CharField(help_text='Name, URI or URI template.', max_length=2048)),
                ('title', models.CharField(blank=True, max_length=500)),
                ('description', models.TextField(blank=True)),
                ('definition', models.JSONField(default=dict, help_text='The entry as the server sent it.')),
                ('digest', models.CharField(help_text='SHA-256 of the definition.', max_length=64)),
                ('first_seen_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField()),
                ('gone_at', models.DateTimeField(blank=True, help_text='When the server stopped listing it.', null=True)),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='catalogue', to='namespaces.upstream')),
            ],
            options={
                'verbose_name_plural': 'catalogue entries',
                'ordering': ['upstream', 'kind', 'name'],
                'constraints': [models.UniqueConstraint(fields=('upstream', 'kind', 'name'), name='catalogue_entry_once')],
            },
        ),
        migrations.CreateModel(
            name='HealthSpan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('health', models.CharField(choices=[('online', 'online'), ('degraded', 'degraded'), ('offline', 'offline'), ('unknown', 'unknown')], max_length=8)),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(help_text='When a check last found it so, or the next one found something else.')),
                ('checks', models.PositiveIntegerField(default=1)),
                ('latency_ms', models.FloatField(help_text='Of the newest check.', null=True)),
                ('reason', models.CharField(blank=True, max_length=64)),
                ('message', models.CharField(blank=True, max_length=1000)),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='health_spans', to='namespaces.upstream')),
            ],
            options={
                'ordering': ['-began_at'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['upstream', '-began_at'], name='health_span_newest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('health__in', ['online', 'degraded', 'offline', 'unknown'])), name='health_span_health'), models.CheckConstraint(condition=models.Q(('began_at__lte', models.F('ended_at'))), name='health_span_order')],
            },
        ),
        migrations.CreateModel(
            name='Mount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='mount', to='namespaces.namespace')),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='mounts', to='namespaces.upstream')),
            ],
            options={
                'ordering': ['namespace'],
            },
        ),
        migrations.CreateModel(
            name='NamespaceEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('addresses_mode', models.CharField(choices=[('all', 'any address'), ('listed', 'only the networks listed')], default='all', help_text='With “only the networks listed”, an empty list lets nobody in.', max_length=8, verbose_name='callers come from')),
                ('addresses_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.', size=None, validators=[namespaces.address_columns.validate_networks], verbose_name='listed networks')),
                ('tools_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which tools pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='tools allowed')),
                ('tools_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed tools')),
                ('tools_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied tools')),
                ('prompts_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which prompts pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='prompts allowed')),
                ('prompts_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed prompts')),
                ('prompts_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied prompts')),
                ('resources_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which resources pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='resources allowed')),
                ('resources_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed resources')),
                ('resources_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied resources')),
                ('slug', models.SlugField(db_index=False, help_text='Clients call /mcp/<name>. Lower case; it cannot be changed without telling them.', max_length=64, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='Shown to the people who may use it.', max_length=500)),
                ('identical_calls', models.PositiveIntegerField(blank=True, help_text="How often a key may call a tool with the very same arguments within the window below. 0: as often as it likes. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(1000000)], verbose_name='identical calls')),
                ('identical_window_s', models.FloatField(blank=True, help_text="Seconds from the first of them; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='window for identical calls')),
                ('progress_extends_total', models.BooleanField(default=False, help_text="A call may last longer than the server's total timeout, as long as the server reports progress.", verbose_name='progress extends the total timeout')),
                ('enabled', models.BooleanField(default=True, help_text='A disabled namespace looks as if it did not exist.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='namespaces.namespace')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='UpstreamCredential',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('header', models.CharField(default='Authorization', help_text='Header name, such as Authorization or X-API-Key.', max_length=100, validators=[namespaces.validators.validate_header_name])),
                ('value', namespaces.fields.EncryptedTextField(help_text='The whole header value, such as “Bearer abc…”. Never shown again.')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('upstream', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='credentials', to='namespaces.upstream')),
            ],
            options={
                'verbose_name': 'credential',
                'ordering': ['header'],
                'constraints': [models.UniqueConstraint(models.F('upstream'), django.db.models.functions.text.Lower('header'), name='credential_header_once')],
            },
        ),
        migrations.CreateModel(
            name='UpstreamEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('slug', models.SlugField(db_index=False, help_text='Short name in lower case, such as github. It shows in logs and dashboards.', max_length=64, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What this server is for.', max_length=500)),
                ('transport', models.CharField(choices=[('streamable-http', 'Streamable HTTP')], default='streamable-http', max_length=32)),
                ('url', models.CharField(help_text="The server's MCP endpoint, such as https://mcp.example.com/mcp.", max_length=2000, validators=[namespaces.validators.validate_upstream_url], verbose_name='URL')),
                ('era', models.CharField(choices=[('auto', 'find out'), ('modern', '2026-07-28 and later (stateless)'), ('legacy', 'up to 2025-11-25 (sessions)')], default='auto', help_text='Leave it at “find out” unless the server answers the probe wrongly.', max_length=8, verbose_name='protocol era')),
                ('connect_timeout_s', models.FloatField(blank=True, help_text="How long a connection may take. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='connect timeout')),
                ('first_byte_timeout_s', models.FloatField(blank=True, help_text="How long the server may think before its answer begins. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='first-byte timeout')),
                ('idle_timeout_s', models.FloatField(blank=True, help_text="How long an answer may pause. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='idle timeout')),
                ('total_timeout_s', models.FloatField(blank=True, help_text="How long one call may take as a whole. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(86400)], verbose_name='total timeout')),
                ('max_response_bytes', models.PositiveBigIntegerField(blank=True, help_text="Bytes; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1024)], verbose_name='largest answer')),
                ('health_interval_s', models.FloatField(blank=True, help_text="Seconds between two checks whether the server answers; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='health check every')),
                ('max_concurrency', models.PositiveIntegerField(blank=True, help_text="Calls in flight to this server, over all workers of a host. Blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(60000)], verbose_name='most calls at once')),
                ('queue_length', models.PositiveIntegerField(blank=True, help_text="How many more calls may wait for one to end. 0: none, they are refused at once. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(60000)], verbose_name='queue')),
                ('queue_wait_s', models.FloatField(blank=True, help_text="How long they may wait before they are refused. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(600)], verbose_name='wait in the queue')),
                ('circuit_breaker_threshold', models.PositiveIntegerField(blank=True, help_text="After so many failures in a row calls are refused at once for a while. 0: never. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(10000)], verbose_name='failures that open the circuit')),
                ('circuit_breaker_timeout', models.FloatField(blank=True, help_text="How long they are refused, unless a check finds the server well before. Seconds; blank means the gateway's default.", null=True, validators=[django.core.validators.MinValueValidator(0.1), django.core.validators.MaxValueValidator(86400)], verbose_name='open for')),
                ('max_retries', models.PositiveIntegerField(blank=True, help_text="How often a call is sent again that cannot have been run, because no connection was made. Blank means the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(10)], verbose_name='retries')),
                ('trust_annotations', models.BooleanField(default=False, help_text='Also repeat calls that broke off or were answered 502 to 504, where the tool calls itself read-only or idempotent. The server itself says so; believe only one that you trust.', verbose_name='believe tool annotations')),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Labels, one a line.', size=None)),
                ('enabled', models.BooleanField(default=True, help_text='A disabled server answers nobody.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='namespaces.upstream')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='UpstreamStatus',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('checked_at', models.DateTimeField()),
                ('ok', models.BooleanField()),
                ('era', models.CharField(blank=True, max_length=8)),
                ('protocol_version', models.CharField(blank=True, max_length=32)),
                ('server_name', models.CharField(blank=True, max_length=200)),
                ('server_version', models.CharField(blank=True, max_length=100)),
                ('latency_ms', models.FloatField(null=True)),
                ('tool_count', models.PositiveIntegerField(null=True)),
                ('reason', models.CharField(blank=True, max_length=64)),
                ('message', models.CharField(blank=True, max_length=1000)),
                ('health', models.CharField(choices=[('online', 'online'), ('degraded', 'degraded'), ('offline', 'offline'), ('unknown', 'unknown')], default='unknown', max_length=8)),
                ('since', models.DateTimeField(help_text='Since when it has been so.', null=True)),
                ('failing_checks', models.PositiveIntegerField(default=0, help_text='Checks in a row that failed.')),
                ('recoveries', models.PositiveIntegerField(default=0, help_text='How often it came back.')),
                ('upstream', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='status', to='namespaces.upstream')),
            ],
            options={
                'verbose_name_plural': 'upstream statuses',
            },
        ),
        migrations.CreateModel(
            name='MountEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='namespaces.mount')),
                ('namespace', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('upstream', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.upstream')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='UpstreamCredentialEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('header', models.CharField(default='Authorization', help_text='Header name, such as Authorization or X-API-Key.', max_length=100, validators=[namespaces.validators.validate_header_name])),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='namespaces.upstreamcredential')),
                ('upstream', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.upstream')),
            ],
            options={
                'abstract': False,
            },
        ),
        AddTriggers([
        pgtrigger.migrations.AddTrigger(
            model_name='namespace',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='40d5d19faa98dfa0e1496be80a3459f05963c044', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_55153', table='namespaces_namespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='namespace',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_namespaceevent" ("addresses_listed", "addresses_mode", "created_at", "description", "enabled", "id", "identical_calls", "identical_window_s", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "progress_extends_total", "prompts_denied", "prompts_listed", "prompts_mode", "resources_denied", "resources_listed", "resources_mode", "slug", "tools_denied", "tools_listed", "tools_mode", "updated_at") VALUES (NEW."addresses_listed", NEW."addresses_mode", NEW."created_at", NEW."description", NEW."enabled", NEW."id", NEW."identical_calls", NEW."identical_window_s", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."progress_extends_total", NEW."prompts_denied", NEW."prompts_listed", NEW."prompts_mode", NEW."resources_denied", NEW."resources_listed", NEW."resources_mode", NEW."slug", NEW."tools_denied", NEW."tools_listed", NEW."tools_mode", NEW."updated_at"); RETURN NULL;', hash='b3f84e394644cd4cb00c81721e19015549080704', operation='INSERT', pgid='pgtrigger_insert_insert_edca1', table='namespaces_namespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='namespace',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "namespaces_namespaceevent" ("addresses_listed", "addresses_mode", "created_at", "description", "enabled", "id", "identical_calls", "identical_window_s", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "progress_extends_total", "prompts_denied", "prompts_listed", "prompts_mode", "resources_denied", "resources_listed", "resources_mode", "slug", "tools_denied", "tools_listed", "tools_mode", "updated_at") VALUES (NEW."addresses_listed", NEW."addresses_mode", NEW."created_at", NEW."description", NEW."enabled", NEW."id", NEW."identical_calls", NEW."identical_window_s", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."progress_extends_total", NEW."prompts_denied", NEW."prompts_listed", NEW."prompts_mode", NEW."resources_denied", NEW."resources_listed", NEW."resources_mode", NEW."slug", NEW."tools_denied", NEW."tools_listed", NEW."tools_mode", NEW."updated_at"); RETURN NULL;', hash='874d2a2ca8c905e7cc150cf6227fbd9a68790f14', operation='UPDATE', pgid='pgtrigger_update_update_cec20', table='namespaces_namespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='namespace',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_namespaceevent" ("addresses_listed", "addresses_mode", "created_at", "description", "enabled", "id", "identical_calls", "identical_window_s", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "progress_extends_total", "prompts_denied", "prompts_listed", "prompts_mode", "resources_denied", "resources_listed", "resources_mode", "slug", "tools_denied", "tools_listed", "tools_mode", "updated_at") VALUES (OLD."addresses_listed", OLD."addresses_mode", OLD."created_at", OLD."description", OLD."enabled", OLD."id", OLD."identical_calls", OLD."identical_window_s", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."progress_extends_total", OLD."prompts_denied", OLD."prompts_listed", OLD."prompts_mode", OLD."resources_denied", OLD."resources_listed", OLD."resources_mode", OLD."slug", OLD."tools_denied", OLD."tools_listed", OLD."tools_mode", OLD."updated_at"); RETURN NULL;', hash='0f5ecc4db68bf60a1b5a9052d4fd4cdb8d7123d9', operation='DELETE', pgid='pgtrigger_delete_delete_b12ea', table='namespaces_namespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstream',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='76610b21fadbf3733e327b40bd49ac2b48531361', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_fa63d', table='namespaces_upstream', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstream',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_upstreamevent" ("circuit_breaker_threshold", "circuit_breaker_timeout", "connect_timeout_s", "created_at", "description", "enabled", "era", "first_byte_timeout_s", "health_interval_s", "id", "idle_timeout_s", "max_concurrency", "max_response_bytes", "max_retries", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue_length", "queue_wait_s", "slug", "tags", "total_timeout_s", "transport", "trust_annotations", "updated_at", "url") VALUES (NEW."circuit_breaker_threshold", NEW."circuit_breaker_timeout", NEW."connect_timeout_s", NEW."created_at", NEW."description", NEW."enabled", NEW."era", NEW."first_byte_timeout_s", NEW."health_interval_s", NEW."id", NEW."idle_timeout_s", NEW."max_concurrency", NEW."max_response_bytes", NEW."max_retries", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."queue_length", NEW."queue_wait_s", NEW."slug", NEW."tags", NEW."total_timeout_s", NEW."transport", NEW."trust_annotations", NEW."updated_at", NEW."url"); RETURN NULL;', hash='a8c4634b7872740fd6a418e8758d5b442723eb6e', operation='INSERT', pgid='pgtrigger_insert_insert_33871', table='namespaces_upstream', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstream',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."circuit_breaker_threshold" IS DISTINCT FROM (NEW."circuit_breaker_threshold") OR OLD."circuit_breaker_timeout" IS DISTINCT FROM (NEW."circuit_breaker_timeout") OR OLD."connect_timeout_s" IS DISTINCT FROM (NEW."connect_timeout_s") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."description" IS DISTINCT FROM (NEW."description") OR OLD."enabled" IS DISTINCT FROM (NEW."enabled") OR OLD."era" IS DISTINCT FROM (NEW."era") OR OLD."first_byte_timeout_s" IS DISTINCT FROM (NEW."first_byte_timeout_s") OR OLD."health_interval_s" IS DISTINCT FROM (NEW."health_interval_s") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."idle_timeout_s" IS DISTINCT FROM (NEW."idle_timeout_s") OR OLD."max_concurrency" IS DISTINCT FROM (NEW."max_concurrency") OR OLD."max_response_bytes" IS DISTINCT FROM (NEW."max_response_bytes") OR OLD."max_retries" IS DISTINCT FROM (NEW."max_retries") OR OLD."queue_length" IS DISTINCT FROM (NEW."queue_length") OR OLD."queue_wait_s" IS DISTINCT FROM (NEW."queue_wait_s") OR OLD."slug" IS DISTINCT FROM (NEW."slug") OR OLD."tags" IS DISTINCT FROM (NEW."tags") OR OLD."total_timeout_s" IS DISTINCT FROM (NEW."total_timeout_s") OR OLD."transport" IS DISTINCT FROM (NEW."transport") OR OLD."trust_annotations" IS DISTINCT FROM (NEW."trust_annotations") OR OLD."updated_at" IS DISTINCT FROM (NEW."updated_at") OR OLD."url" IS DISTINCT FROM (NEW."url"))', func='INSERT INTO "namespaces_upstreamevent" ("circuit_breaker_threshold", "circuit_breaker_timeout", "connect_timeout_s", "created_at", "description", "enabled", "era", "first_byte_timeout_s", "health_interval_s", "id", "idle_timeout_s", "max_concurrency", "max_response_bytes", "max_retries", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue_length", "queue_wait_s", "slug", "tags", "total_timeout_s", "transport", "trust_annotations", "updated_at", "url") VALUES (NEW."circuit_breaker_threshold", NEW."circuit_breaker_timeout", NEW."connect_timeout_s", NEW."created_at", NEW."description", NEW."enabled", NEW."era", NEW."first_byte_timeout_s", NEW."health_interval_s", NEW."id", NEW."idle_timeout_s", NEW."max_concurrency", NEW."max_response_bytes", NEW."max_retries", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."queue_length", NEW."queue_wait_s", NEW."slug", NEW."tags", NEW."total_timeout_s", NEW."transport", NEW."trust_annotations", NEW."updated_at", NEW."url"); RETURN NULL;', hash='b2b724f4f560674f2985b641b2a814d606045452', operation='UPDATE', pgid='pgtrigger_update_update_45533', table='namespaces_upstream', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstream',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_upstreamevent" ("circuit_breaker_threshold", "circuit_breaker_timeout", "connect_timeout_s", "created_at", "description", "enabled", "era", "first_byte_timeout_s", "health_interval_s", "id", "idle_timeout_s", "max_concurrency", "max_response_bytes", "max_retries", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "queue_length", "queue_wait_s", "slug", "tags", "total_timeout_s", "transport", "trust_annotations", "updated_at", "url") VALUES (OLD."circuit_breaker_threshold", OLD."circuit_breaker_timeout", OLD."connect_timeout_s", OLD."created_at", OLD."description", OLD."enabled", OLD."era", OLD."first_byte_timeout_s", OLD."health_interval_s", OLD."id", OLD."idle_timeout_s", OLD."max_concurrency", OLD."max_response_bytes", OLD."max_retries", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."queue_length", OLD."queue_wait_s", OLD."slug", OLD."tags", OLD."total_timeout_s", OLD."transport", OLD."trust_annotations", OLD."updated_at", OLD."url"); RETURN NULL;', hash='84730584c20a7e12e861228072275a33f5e7ed5f', operation='DELETE', pgid='pgtrigger_delete_delete_c809b', table='namespaces_upstream', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='mount',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='3341baa85fe787a3912d7ca3e97d62602a33169f', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_9c58a', table='namespaces_mount', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='mount',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_mountevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "upstream_id") VALUES (NEW."id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."upstream_id"); RETURN NULL;', hash='00e108914923ceca0dbbcd01932372ce8ab01838', operation='INSERT', pgid='pgtrigger_insert_insert_7f934', table='namespaces_mount', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='mount',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "namespaces_mountevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "upstream_id") VALUES (NEW."id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."upstream_id"); RETURN NULL;', hash='d13d9afdda2b91be7c5e8ebfdf80056bf25a533c', operation='UPDATE', pgid='pgtrigger_update_update_89eda', table='namespaces_mount', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='mount',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_mountevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "upstream_id") VALUES (OLD."id", OLD."namespace_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."upstream_id"); RETURN NULL;', hash='3e5bad2d95b5edb1d2aea581a4fb5140db0fd050', operation='DELETE', pgid='pgtrigger_delete_delete_f7692', table='namespaces_mount', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='catalogueentry',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='073a6b5aeac4b180a2fb57d71b5b76a4d3f7289d', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_f2da1', table='namespaces_catalogueentry', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstreamcredential',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='2141b8d4bac4a1a1ac9e6ff3152c697edd80405c', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_5b6b1', table='namespaces_upstreamcredential', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstreamcredential',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_upstreamcredentialevent" ("header", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "updated_at", "upstream_id") VALUES (NEW."header", NEW."id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."updated_at", NEW."upstream_id"); RETURN NULL;', hash='8eb4946058c5cff09dbf1de8923d18c0e54e73ec', operation='INSERT', pgid='pgtrigger_insert_insert_89a9a', table='namespaces_upstreamcredential', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstreamcredential',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."header" IS DISTINCT FROM (NEW."header") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."updated_at" IS DISTINCT FROM (NEW."updated_at") OR OLD."upstream_id" IS DISTINCT FROM (NEW."upstream_id"))', func='INSERT INTO "namespaces_upstreamcredentialevent" ("header", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "updated_at", "upstream_id") VALUES (NEW."header", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."updated_at", NEW."upstream_id"); RETURN NULL;', hash='54c84f9512672f7b0bc938158d8abeb5728941f1', operation='UPDATE', pgid='pgtrigger_update_update_b5576', table='namespaces_upstreamcredential', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='upstreamcredential',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "namespaces_upstreamcredentialevent" ("header", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "updated_at", "upstream_id") VALUES (OLD."header", OLD."id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."updated_at", OLD."upstream_id"); RETURN NULL;', hash='477b4a52bf762a9b93801f9ca53669f504a73575', operation='DELETE', pgid='pgtrigger_delete_delete_fbff4', table='namespaces_upstreamcredential', when='AFTER')),
        ),
        ]),
    ]
