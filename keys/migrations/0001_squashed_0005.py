"""All that the replaced migrations make, at once: a new database need not go through every step of theirs."""

import django.contrib.auth.models
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import namespaces.address_columns
import namespaces.validators
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

from namespaces.trigger_operations import AddTriggers


class Migration(migrations.Migration):

    replaces = [('keys', '0001_initial'), ('keys', '0002_initial'), ('keys', '0003_teams'), ('keys', '0004_protection'), ('keys', '0005_rules_of_keys')]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('namespaces', '0001_squashed_0003'),
        ('pghistory', '0007_auto_20250421_0444'),
    ]

    operations = [
        migrations.CreateModel(
            name='KeyHolder',
            fields=[
            ],
            options={
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('auth.user',),
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='Team',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text='Short name in lower case, such as payments. It stands in addresses and configuration files.', max_length=64, unique=True, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('name', models.CharField(blank=True, help_text='How people call the team.', max_length=200, verbose_name='title')),
                ('description', models.CharField(blank=True, help_text='What the team does, for those who look.', max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['slug'],
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$')), name='team_slug_form')],
            },
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('addresses_mode', models.CharField(choices=[('all', 'any address'), ('listed', 'only the networks listed')], default='all', help_text='With “only the networks listed”, an empty list lets nobody in.', max_length=8, verbose_name='callers come from')),
                ('addresses_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.', size=None, validators=[namespaces.address_columns.validate_networks], verbose_name='listed networks')),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('requests_per_minute', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests per minute')),
                ('user_id', models.CharField(db_index=True, help_text='Who calls with this key; the name that analytics show.', max_length=200, verbose_name='user')),
                ('description', models.CharField(blank=True, help_text='What the key is for, such as “laptop”.', max_length=500)),
                ('all_namespaces', models.BooleanField(default=False, help_text='Reaches every namespace, present and future. Otherwise only those granted below.')),
                ('sees', models.CharField(choices=[('own', 'the calls of its own user'), ('team', "all calls of its team's namespaces"), ('all', "everybody's calls")], default='own', help_text='Which calls the analytics API shows to whoever has this key.', max_length=4, verbose_name='sees in analytics')),
                ('max_concurrency', models.PositiveIntegerField(blank=True, help_text="Calls in flight, over all workers of a host. 0: no limit. Blank: the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(60000)], verbose_name='most calls at once')),
                ('expires_at', models.DateTimeField(blank=True, help_text='UTC. Blank: never.', null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(blank=True, editable=False, max_length=200)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('owner', models.ForeignKey(blank=True, help_text="The account of the person who holds the key. They see the calls of the key's user and may rotate and revoke the key. It is revoked when their account is disabled or they leave the key's team.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='api_keys', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(blank=True, help_text='The team that answers for the key; its admins may revoke it. Blank: no team.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='keys.team')),
            ],
            options={
                'verbose_name': 'API key',
                'ordering': ['user_id', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('requests_per_minute__isnull', True), models.Q(('requests_per_minute__gte', -1), ('requests_per_minute__lte', 10000000)), _connector='OR'), name='apikey_rpm_range'), models.CheckConstraint(condition=models.Q(('algorithm__in', ['', 'token_bucket', 'sliding_window'])), name='apikey_algorithm'), models.CheckConstraint(condition=models.Q(('requests_per_minute__isnull', True), models.Q(('algorithm', 'sliding_window'), _negated=True), ('requests_per_minute__lte', 100000), _connector='OR'), name='apikey_window_size', violation_error_message='A sliding window takes at most 100,000 requests; choose the token bucket.'), models.CheckConstraint(condition=models.Q(('addresses_mode__in', ['all', 'listed'])), name='apikey_addresses_mode'), models.CheckConstraint(condition=models.Q(('user_id', ''), _negated=True), name='apikey_user_present'), models.CheckConstraint(condition=models.Q(('sees__in', ['own', 'team', 'all'])), name='apikey_sees'), models.CheckConstraint(condition=models.Q(models.Q(('sees', 'team'), _negated=True), ('team__isnull', False), _connector='OR'), name='apikey_sees_a_team', violation_error_message="A key that sees its team's calls needs a team.")],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('admin', "admin: sees the team's calls, manages members and keys"), ('auditor', "auditor: sees the team's calls"), ('member', 'member: sees its own calls')], default='member', help_text="Admins and auditors see all calls of the team's namespaces, with the addresses of clients.", max_length=8)),
                ('account', models.ForeignKey(help_text='Who belongs to the team. Removing them revokes the keys that they hold for it.', on_delete=django.db.models.deletion.CASCADE, related_name='team_memberships', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='keys.team')),
            ],
            options={
                'verbose_name': 'team membership',
                'ordering': ['team', 'account'],
                'constraints': [models.UniqueConstraint(fields=('team', 'account'), name='membership_once'), models.CheckConstraint(condition=models.Q(('role__in', ['admin', 'auditor', 'member'])), name='membership_role')],
            },
        ),
        migrations.CreateModel(
            name='TeamEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('slug', models.SlugField(db_index=False, help_text='Short name in lower case, such as payments. It stands in addresses and configuration files.', max_length=64, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('name', models.CharField(blank=True, help_text='How people call the team.', max_length=200, verbose_name='title')),
                ('description', models.CharField(blank=True, help_text='What the team does, for those who look.', max_length=500)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.team')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='TeamNamespace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.OneToOneField(help_text="Members issue keys for it themselves. Taking it away takes it from the team's keys.", on_delete=django.db.models.deletion.CASCADE, related_name='team_namespace', to='namespaces.namespace')),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='namespaces', to='keys.team')),
            ],
            options={
                'verbose_name': 'namespace of a team',
                'verbose_name_plural': 'namespaces of teams',
                'ordering': ['team', 'namespace'],
            },
        ),
        migrations.CreateModel(
            name='ApiKeyEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('addresses_mode', models.CharField(choices=[('all', 'any address'), ('listed', 'only the networks listed')], default='all', help_text='With “only the networks listed”, an empty list lets nobody in.', max_length=8, verbose_name='callers come from')),
                ('addresses_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), blank=True, default=list, help_text='Networks or single addresses, one a line: 192.0.2.0/24, 2001:db8::/32, 198.51.100.7.', size=None, validators=[namespaces.address_columns.validate_networks], verbose_name='listed networks')),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('requests_per_minute', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests per minute')),
                ('user_id', models.CharField(help_text='Who calls with this key; the name that analytics show.', max_length=200, verbose_name='user')),
                ('description', models.CharField(blank=True, help_text='What the key is for, such as “laptop”.', max_length=500)),
                ('all_namespaces', models.BooleanField(default=False, help_text='Reaches every namespace, present and future. Otherwise only those granted below.')),
                ('sees', models.CharField(choices=[('own', 'the calls of its own user'), ('team', "all calls of its team's namespaces"), ('all', "everybody's calls")], default='own', help_text='Which calls the analytics API shows to whoever has this key.', max_length=4, verbose_name='sees in analytics')),
                ('max_concurrency', models.PositiveIntegerField(blank=True, help_text="Calls in flight, over all workers of a host. 0: no limit. Blank: the gateway's default.", null=True, validators=[django.core.validators.MaxValueValidator(60000)], verbose_name='most calls at once')),
                ('expires_at', models.DateTimeField(blank=True, help_text='UTC. Blank: never.', null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(blank=True, editable=False, max_length=200)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('owner', models.ForeignKey(blank=True, db_constraint=False, help_text="The account of the person who holds the key. They see the calls of the key's user and may rotate and revoke the key. It is revoked when their account is disabled or they leave the key's team.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to=settings.AUTH_USER_MODEL)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.apikey')),
                ('team', models.ForeignKey(blank=True, db_constraint=False, help_text='The team that answers for the key; its admins may revoke it. Blank: no team.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.team')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tools_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which tools pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='tools allowed')),
                ('tools_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed tools')),
                ('tools_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied tools')),
                ('prompts_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which prompts pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='prompts allowed')),
                ('prompts_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed prompts')),
                ('prompts_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied prompts')),
                ('resources_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which resources pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='resources allowed')),
                ('resources_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed resources')),
                ('resources_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied resources')),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('requests_per_minute', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests per minute')),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='keys.apikey')),
                ('namespace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='grants', to='namespaces.namespace')),
            ],
            options={
                'ordering': ['key', 'namespace'],
                'constraints': [models.UniqueConstraint(fields=('key', 'namespace'), name='grant_once'), models.CheckConstraint(condition=models.Q(('requests_per_minute__isnull', True), models.Q(('requests_per_minute__gte', -1), ('requests_per_minute__lte', 10000000)), _connector='OR'), name='grant_rpm_range'), models.CheckConstraint(condition=models.Q(('algorithm__in', ['', 'token_bucket', 'sliding_window'])), name='grant_algorithm'), models.CheckConstraint(condition=models.Q(('requests_per_minute__isnull', True), models.Q(('algorithm', 'sliding_window'), _negated=True), ('requests_per_minute__lte', 100000), _connector='OR'), name='grant_window_size', violation_error_message='A sliding window takes at most 100,000 requests; choose the token bucket.'), models.CheckConstraint(condition=models.Q(('tools_mode__in', ['all', 'listed', 'none'])), name='grant_tools_mode'), models.CheckConstraint(condition=models.Q(('prompts_mode__in', ['all', 'listed', 'none'])), name='grant_prompts_mode'), models.CheckConstraint(condition=models.Q(('resources_mode__in', ['all', 'listed', 'none'])), name='grant_resources_mode')],
            },
        ),
        migrations.CreateModel(
            name='KeySecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('pepper', models.CharField(editable=False, help_text='Which pepper made the digest.', max_length=8)),
                ('prefix', models.CharField(editable=False, help_text='The beginning of the key, to recognise it by.', max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='secrets', to='keys.apikey')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='KeyUsage',
            fields=[
                ('key', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='usage', serialize=False, to='keys.apikey')),
                ('last_used_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'key usage',
            },
        ),
        migrations.CreateModel(
            name='MembershipEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('role', models.CharField(choices=[('admin', "admin: sees the team's calls, manages members and keys"), ('auditor', "auditor: sees the team's calls"), ('member', 'member: sees its own calls')], default='member', help_text="Admins and auditors see all calls of the team's namespaces, with the addresses of clients.", max_length=8)),
                ('account', models.ForeignKey(db_constraint=False, help_text='Who belongs to the team. Removing them revokes the keys that they hold for it.', on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to=settings.AUTH_USER_MODEL)),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.membership')),
                ('team', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.team')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Quarantine',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('key', 'an API key'), ('user', 'a user, with all keys'), ('tool', 'a tool'), ('namespace', 'a namespace'), ('upstream', 'an upstream')], max_length=9, verbose_name='what')),
                ('user_id', models.CharField(blank=True, max_length=200, verbose_name='user')),
                ('tool', models.CharField(blank=True, help_text='Its exact name. Namespace or upstream narrow it; without them it is stopped everywhere.', max_length=2048)),
                ('reason', models.CharField(help_text='Why, in words for the people whose calls fail: they read it in every answer.', max_length=300)),
                ('ends_at', models.DateTimeField(blank=True, help_text='UTC. Blank: until somebody lifts it.', null=True)),
                ('set_by', models.CharField(blank=True, editable=False, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('key', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quarantines', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quarantines', to='namespaces.namespace')),
                ('upstream', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quarantines', to='namespaces.upstream')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('scope', 'key'), models.Q(('key__isnull', True), _negated=True), ('user_id', ''), ('tool', ''), ('namespace__isnull', True), ('upstream__isnull', True)), models.Q(('scope', 'user'), ('key__isnull', True), models.Q(('user_id', ''), _negated=True), ('tool', ''), ('namespace__isnull', True), ('upstream__isnull', True)), models.Q(('scope', 'tool'), ('key__isnull', True), ('user_id', ''), models.Q(('tool', ''), _negated=True)), models.Q(('scope', 'namespace'), ('key__isnull', True), ('user_id', ''), ('tool', ''), models.Q(('namespace__isnull', True), _negated=True), ('upstream__isnull', True)), models.Q(('scope', 'upstream'), ('key__isnull', True), ('user_id', ''), ('tool', ''), ('namespace__isnull', True), models.Q(('upstream__isnull', True), _negated=True)), _connector='OR'), name='quarantine_subject', violation_error_message='Name what is quarantined, in the field of that kind, and nothing else.'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='quarantine_reason_present')],
            },
        ),
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text='Short name in lower case, such as search.', max_length=64, unique=True, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What the rule is for, for other admins.', max_length=500)),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character. They count together. Blank: every request, whatever it asks for.', size=None, validators=[namespaces.validators.validate_patterns])),
                ('user_id', models.CharField(blank=True, help_text="Only the calls of this user. Blank: everybody's.", max_length=200, verbose_name='user')),
                ('enabled', models.BooleanField(default=True, help_text='A rule that is switched off counts nothing.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('counted', models.CharField(choices=[('together', 'all together'), ('each_key', 'each key by itself'), ('each_user', 'each user by itself'), ('each_team', 'each team by itself')], default='each_key', help_text='Whether everything that the quota is for shares it, or each has as much for itself.', max_length=10)),
                ('measure', models.CharField(choices=[('calls', 'calls'), ('response_bytes', 'bytes of answers')], default='calls', max_length=14)),
                ('period', models.CharField(choices=[('day', 'a day'), ('month', 'a month')], default='day', help_text='It begins anew at midnight, or on the first of the month, UTC.', max_length=5)),
                ('amount', models.BigIntegerField(help_text='How many calls or bytes. 0: nothing passes.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000000)])),
                ('warn_percent', models.PositiveSmallIntegerField(default=80, help_text='From here on the page of quotas and the log warn.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='warns at (%)')),
                ('hard', models.BooleanField(default=True, help_text='Otherwise calls go on beyond it, and it only warns.', verbose_name='stops calls')),
                ('key', models.ForeignKey(blank=True, help_text="Only the calls of this key. Blank: every key's.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='%(class)ss', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, help_text='Blank: calls in every namespace.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='%(class)ss', to='namespaces.namespace')),
                ('team', models.ForeignKey(blank=True, help_text="Only the calls of this team's keys. Blank: everybody's.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quotas', to='keys.team')),
            ],
            options={
                'ordering': ['slug'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$')), name='quota_slug_form'), models.CheckConstraint(condition=models.Q(('counted__in', ['together', 'each_key', 'each_user', 'each_team'])), name='quota_counted'), models.CheckConstraint(condition=models.Q(('measure__in', ['calls', 'response_bytes'])), name='quota_measure'), models.CheckConstraint(condition=models.Q(('period__in', ['day', 'month'])), name='quota_period'), models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('amount__lte', 1000000000000000)), name='quota_amount'), models.CheckConstraint(condition=models.Q(('warn_percent__gte', 1), ('warn_percent__lte', 100)), name='quota_warn_percent')],
            },
        ),
        migrations.CreateModel(
            name='RateLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(help_text='Short name in lower case, such as search.', max_length=64, unique=True, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What the rule is for, for other admins.', max_length=500)),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character. They count together. Blank: every request, whatever it asks for.', size=None, validators=[namespaces.validators.validate_patterns])),
                ('user_id', models.CharField(blank=True, help_text="Only the calls of this user. Blank: everybody's.", max_length=200, verbose_name='user')),
                ('enabled', models.BooleanField(default=True, help_text='A rule that is switched off counts nothing.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('counted', models.CharField(choices=[('together', 'all together'), ('each_key', 'each key by itself'), ('each_user', 'each user by itself'), ('each_namespace', 'each namespace by itself')], default='together', help_text='Whether everything that the limit is for shares it, or each has as much for itself.', max_length=14)),
                ('requests', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests')),
                ('window_s', models.PositiveIntegerField(default=60, help_text='In how many seconds; 60 makes it requests per minute.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='seconds')),
                ('key', models.ForeignKey(blank=True, help_text="Only the calls of this key. Blank: every key's.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='%(class)ss', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, help_text='Blank: calls in every namespace.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='%(class)ss', to='namespaces.namespace')),
            ],
            options={
                'ordering': ['slug'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$')), name='ratelimit_slug_form'), models.CheckConstraint(condition=models.Q(('counted__in', ['together', 'each_key', 'each_user', 'each_namespace'])), name='ratelimit_counted'), models.CheckConstraint(condition=models.Q(('window_s__gte', 1), ('window_s__lte', 86400)), name='ratelimit_window'), models.CheckConstraint(condition=models.Q(('requests__isnull', True), models.Q(('requests__gte', -1), ('requests__lte', 10000000)), _connector='OR'), name='ratelimit_rpm_range'), models.CheckConstraint(condition=models.Q(('algorithm__in', ['', 'token_bucket', 'sliding_window'])), name='ratelimit_algorithm'), models.CheckConstraint(condition=models.Q(('requests__isnull', True), models.Q(('algorithm', 'sliding_window'), _negated=True), ('requests__lte', 100000), _connector='OR'), name='ratelimit_window_size', violation_error_message='A sliding window takes at most 100,000 requests; choose the token bucket.')],
            },
        ),
        migrations.CreateModel(
            name='TeamNamespaceEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('namespace', models.ForeignKey(db_constraint=False, help_text="Members issue keys for it themselves. Taking it away takes it from the team's keys.", on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.teamnamespace')),
                ('team', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.team')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='GrantEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('tools_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which tools pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='tools allowed')),
                ('tools_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed tools')),
                ('tools_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied tools')),
                ('prompts_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which prompts pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='prompts allowed')),
                ('prompts_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed prompts')),
                ('prompts_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied prompts')),
                ('resources_mode', models.CharField(choices=[('all', 'all names'), ('listed', 'only the names listed'), ('none', 'no names')], default='all', help_text='Which resources pass. With “only the names listed”, an empty list lets nothing through.', max_length=8, verbose_name='resources allowed')),
                ('resources_listed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs, one a line; * and ? are wildcards.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='listed resources')),
                ('resources_denied', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='URIs that never pass, whatever else is set.', size=None, validators=[namespaces.validators.validate_patterns], verbose_name='denied resources')),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('requests_per_minute', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests per minute')),
                ('key', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.apikey')),
                ('namespace', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.grant')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='KeySecretEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('pepper', models.CharField(editable=False, help_text='Which pepper made the digest.', max_length=8)),
                ('prefix', models.CharField(editable=False, help_text='The beginning of the key, to recognise it by.', max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('key', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.apikey')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.keysecret')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='QuarantineEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('scope', models.CharField(choices=[('key', 'an API key'), ('user', 'a user, with all keys'), ('tool', 'a tool'), ('namespace', 'a namespace'), ('upstream', 'an upstream')], max_length=9, verbose_name='what')),
                ('user_id', models.CharField(blank=True, max_length=200, verbose_name='user')),
                ('tool', models.CharField(blank=True, help_text='Its exact name. Namespace or upstream narrow it; without them it is stopped everywhere.', max_length=2048)),
                ('reason', models.CharField(help_text='Why, in words for the people whose calls fail: they read it in every answer.', max_length=300)),
                ('ends_at', models.DateTimeField(blank=True, help_text='UTC. Blank: until somebody lifts it.', null=True)),
                ('set_by', models.CharField(blank=True, editable=False, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('key', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.quarantine')),
                ('upstream', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.upstream')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='QuotaEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('slug', models.SlugField(db_index=False, help_text='Short name in lower case, such as search.', max_length=64, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What the rule is for, for other admins.', max_length=500)),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character. They count together. Blank: every request, whatever it asks for.', size=None, validators=[namespaces.validators.validate_patterns])),
                ('user_id', models.CharField(blank=True, help_text="Only the calls of this user. Blank: everybody's.", max_length=200, verbose_name='user')),
                ('enabled', models.BooleanField(default=True, help_text='A rule that is switched off counts nothing.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('counted', models.CharField(choices=[('together', 'all together'), ('each_key', 'each key by itself'), ('each_user', 'each user by itself'), ('each_team', 'each team by itself')], default='each_key', help_text='Whether everything that the quota is for shares it, or each has as much for itself.', max_length=10)),
                ('measure', models.CharField(choices=[('calls', 'calls'), ('response_bytes', 'bytes of answers')], default='calls', max_length=14)),
                ('period', models.CharField(choices=[('day', 'a day'), ('month', 'a month')], default='day', help_text='It begins anew at midnight, or on the first of the month, UTC.', max_length=5)),
                ('amount', models.BigIntegerField(help_text='How many calls or bytes. 0: nothing passes.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000000)])),
                ('warn_percent', models.PositiveSmallIntegerField(default=80, help_text='From here on the page of quotas and the log warn.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='warns at (%)')),
                ('hard', models.BooleanField(default=True, help_text='Otherwise calls go on beyond it, and it only warns.', verbose_name='stops calls')),
                ('key', models.ForeignKey(blank=True, db_constraint=False, help_text="Only the calls of this key. Blank: every key's.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, db_constraint=False, help_text='Blank: calls in every namespace.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.quota')),
                ('team', models.ForeignKey(blank=True, db_constraint=False, help_text="Only the calls of this team's keys. Blank: everybody's.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.team')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='QuotaUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('spender', models.CharField(blank=True, max_length=220)),
                ('unit', models.CharField(max_length=24)),
                ('begins', models.DateField()),
                ('used', models.BigIntegerField(default=0)),
                ('quota', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uses', to='keys.quota')),
            ],
            options={
                'verbose_name': 'use of a quota',
                'verbose_name_plural': 'use of quotas',
                'ordering': ['quota', '-begins', 'spender'],
                'constraints': [models.UniqueConstraint(fields=('quota', 'spender', 'unit', 'begins'), name='quotause_once')],
            },
        ),
        migrations.CreateModel(
            name='RateLimitEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('id', models.BigIntegerField()),
                ('slug', models.SlugField(db_index=False, help_text='Short name in lower case, such as search.', max_length=64, validators=[namespaces.validators.validate_slug], verbose_name='name')),
                ('description', models.CharField(blank=True, help_text='What the rule is for, for other admins.', max_length=500)),
                ('tools', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=512), blank=True, default=list, help_text='Names, one a line; * stands for any text, ? for one character. They count together. Blank: every request, whatever it asks for.', size=None, validators=[namespaces.validators.validate_patterns])),
                ('user_id', models.CharField(blank=True, help_text="Only the calls of this user. Blank: everybody's.", max_length=200, verbose_name='user')),
                ('enabled', models.BooleanField(default=True, help_text='A rule that is switched off counts nothing.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('burst', models.PositiveIntegerField(blank=True, help_text="How many calls may come at once before the rate holds. Blank: the gateway's default. A sliding window has none.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)])),
                ('algorithm', models.CharField(blank=True, choices=[('token_bucket', 'token bucket: a burst at once, then evenly'), ('sliding_window', 'sliding window: never more within any window')], help_text="Blank: the gateway's default, which is the token bucket unless a setting says otherwise.", max_length=14)),
                ('counted', models.CharField(choices=[('together', 'all together'), ('each_key', 'each key by itself'), ('each_user', 'each user by itself'), ('each_namespace', 'each namespace by itself')], default='together', help_text='Whether everything that the limit is for shares it, or each has as much for itself.', max_length=14)),
                ('requests', models.IntegerField(blank=True, help_text="Blank: no limit. -1: the gateway's default. 0: nothing passes.", null=True, validators=[django.core.validators.MinValueValidator(-1), django.core.validators.MaxValueValidator(10000000)], verbose_name='requests')),
                ('window_s', models.PositiveIntegerField(default=60, help_text='In how many seconds; 60 makes it requests per minute.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)], verbose_name='seconds')),
                ('key', models.ForeignKey(blank=True, db_constraint=False, help_text="Only the calls of this key. Blank: every key's.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='keys.apikey', verbose_name='API key')),
                ('namespace', models.ForeignKey(blank=True, db_constraint=False, help_text='Blank: calls in every namespace.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='namespaces.namespace')),
                ('pgh_context', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='pghistory.context')),
                ('pgh_obj', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='events', to='keys.ratelimit')),
            ],
            options={
                'abstract': False,
            },
        ),
        AddTriggers([
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_teamevent" ("created_at", "description", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "updated_at") VALUES (NEW."created_at", NEW."description", NEW."id", NEW."name", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."slug", NEW."updated_at"); RETURN NULL;', hash='58cc7c2c8c613f6806245a1b5a0c9ee66f712d00', operation='INSERT', pgid='pgtrigger_insert_insert_587d6', table='keys_team', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_teamevent" ("created_at", "description", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "updated_at") VALUES (NEW."created_at", NEW."description", NEW."id", NEW."name", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."slug", NEW."updated_at"); RETURN NULL;', hash='9387c6d65e11d2313dc0a6aa1edabd5af5c65bb9', operation='UPDATE', pgid='pgtrigger_update_update_5a80f', table='keys_team', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='team',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_teamevent" ("created_at", "description", "id", "name", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "updated_at") VALUES (OLD."created_at", OLD."description", OLD."id", OLD."name", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."slug", OLD."updated_at"); RETURN NULL;', hash='480c68905a7d4641d6b69b778eca43467393a533', operation='DELETE', pgid='pgtrigger_delete_delete_c49bf', table='keys_team', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keyholder',
            trigger=pgtrigger.compiler.Trigger(name='revoke_keys_on_disable', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NOT NEW."is_active" AND OLD."is_active")', func='UPDATE keys_apikey SET revoked_at = clock_timestamp(), updated_at = clock_timestamp() WHERE owner_id = OLD.id AND revoked_at IS NULL; RETURN NULL;', hash='dda619bd2b7b272e58a8c024a04ed3edda81b753', operation='UPDATE', pgid='pgtrigger_revoke_keys_on_disable_37aa1', table='auth_user', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keyholder',
            trigger=pgtrigger.compiler.Trigger(name='disown_keys_on_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE keys_apikey SET owner_id = NULL, revoked_at = COALESCE(revoked_at, clock_timestamp()), updated_at = clock_timestamp() WHERE owner_id = OLD.id; RETURN OLD;', hash='2c3466becf68d94c20b1c11a7e0937de26e9f1c9', operation='DELETE', pgid='pgtrigger_disown_keys_on_delete_8ac88', table='auth_user', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='de36a85167e414a850b5022efb699a477796a3ea', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_31713', table='keys_grant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_grantevent" ("algorithm", "burst", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prompts_denied", "prompts_listed", "prompts_mode", "requests_per_minute", "resources_denied", "resources_listed", "resources_mode", "tools_denied", "tools_listed", "tools_mode") VALUES (NEW."algorithm", NEW."burst", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."prompts_denied", NEW."prompts_listed", NEW."prompts_mode", NEW."requests_per_minute", NEW."resources_denied", NEW."resources_listed", NEW."resources_mode", NEW."tools_denied", NEW."tools_listed", NEW."tools_mode"); RETURN NULL;', hash='20797e0d751d2d876e3d1297bcfc4763186e19a2', operation='INSERT', pgid='pgtrigger_insert_insert_bb952', table='keys_grant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_grantevent" ("algorithm", "burst", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prompts_denied", "prompts_listed", "prompts_mode", "requests_per_minute", "resources_denied", "resources_listed", "resources_mode", "tools_denied", "tools_listed", "tools_mode") VALUES (NEW."algorithm", NEW."burst", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."prompts_denied", NEW."prompts_listed", NEW."prompts_mode", NEW."requests_per_minute", NEW."resources_denied", NEW."resources_listed", NEW."resources_mode", NEW."tools_denied", NEW."tools_listed", NEW."tools_mode"); RETURN NULL;', hash='74c8350a13dc3f83dfdb030965dfeeb703c28c33', operation='UPDATE', pgid='pgtrigger_update_update_1ba35', table='keys_grant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_grantevent" ("algorithm", "burst", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prompts_denied", "prompts_listed", "prompts_mode", "requests_per_minute", "resources_denied", "resources_listed", "resources_mode", "tools_denied", "tools_listed", "tools_mode") VALUES (OLD."algorithm", OLD."burst", OLD."id", OLD."key_id", OLD."namespace_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."prompts_denied", OLD."prompts_listed", OLD."prompts_mode", OLD."requests_per_minute", OLD."resources_denied", OLD."resources_listed", OLD."resources_mode", OLD."tools_denied", OLD."tools_listed", OLD."tools_mode"); RETURN NULL;', hash='df3f3e39b91dd388324118b097a1e17d22811440', operation='DELETE', pgid='pgtrigger_delete_delete_12e1c', table='keys_grant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keysecret',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='bebbdd73b6cda10ab4d0928a195d27d42616ec76', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_08d00', table='keys_keysecret', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keysecret',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_keysecretevent" ("created_at", "expires_at", "id", "key_id", "pepper", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (NEW."created_at", NEW."expires_at", NEW."id", NEW."key_id", NEW."pepper", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."prefix"); RETURN NULL;', hash='7714da01719f692a91ff639a70f43404d8f6be32', operation='INSERT', pgid='pgtrigger_insert_insert_30d5f', table='keys_keysecret', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keysecret',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."id" IS DISTINCT FROM (NEW."id") OR OLD."key_id" IS DISTINCT FROM (NEW."key_id") OR OLD."pepper" IS DISTINCT FROM (NEW."pepper") OR OLD."prefix" IS DISTINCT FROM (NEW."prefix"))', func='INSERT INTO "keys_keysecretevent" ("created_at", "expires_at", "id", "key_id", "pepper", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (NEW."created_at", NEW."expires_at", NEW."id", NEW."key_id", NEW."pepper", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."prefix"); RETURN NULL;', hash='2233345ee3ebf32c96ca7ba0e5dc0ef4ed784f99', operation='UPDATE', pgid='pgtrigger_update_update_2dce8', table='keys_keysecret', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='keysecret',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_keysecretevent" ("created_at", "expires_at", "id", "key_id", "pepper", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "prefix") VALUES (OLD."created_at", OLD."expires_at", OLD."id", OLD."key_id", OLD."pepper", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."prefix"); RETURN NULL;', hash='40798631af1b64e5305e4264631063416622dd05', operation='DELETE', pgid='pgtrigger_delete_delete_bf431', table='keys_keysecret', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quarantine',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='d092329475f7b2ce5d05028f803e71de783229e9', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_b0b15', table='keys_quarantine', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quarantine',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_quarantineevent" ("created_at", "ends_at", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "scope", "set_by", "tool", "upstream_id", "user_id") VALUES (NEW."created_at", NEW."ends_at", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."reason", NEW."scope", NEW."set_by", NEW."tool", NEW."upstream_id", NEW."user_id"); RETURN NULL;', hash='4b72c2ee5906c32c7ee7dc326305ba34d92d9c8b', operation='INSERT', pgid='pgtrigger_insert_insert_3f7ee', table='keys_quarantine', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quarantine',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_quarantineevent" ("created_at", "ends_at", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "scope", "set_by", "tool", "upstream_id", "user_id") VALUES (NEW."created_at", NEW."ends_at", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."reason", NEW."scope", NEW."set_by", NEW."tool", NEW."upstream_id", NEW."user_id"); RETURN NULL;', hash='9c706d7e7330630d5385f24a45294ddbcd006729', operation='UPDATE', pgid='pgtrigger_update_update_555fd', table='keys_quarantine', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quarantine',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_quarantineevent" ("created_at", "ends_at", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "scope", "set_by", "tool", "upstream_id", "user_id") VALUES (OLD."created_at", OLD."ends_at", OLD."id", OLD."key_id", OLD."namespace_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."reason", OLD."scope", OLD."set_by", OLD."tool", OLD."upstream_id", OLD."user_id"); RETURN NULL;', hash='bba94719bce2feff57ec479ad2dcc7ad9e6a4af2', operation='DELETE', pgid='pgtrigger_delete_delete_d48aa', table='keys_quarantine', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ratelimit',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='24a15f3db8c9f342e6423a50c4409a56e9105f91', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_e999f', table='keys_ratelimit', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ratelimit',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_ratelimitevent" ("algorithm", "burst", "counted", "created_at", "description", "enabled", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests", "slug", "tools", "updated_at", "user_id", "window_s") VALUES (NEW."algorithm", NEW."burst", NEW."counted", NEW."created_at", NEW."description", NEW."enabled", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."requests", NEW."slug", NEW."tools", NEW."updated_at", NEW."user_id", NEW."window_s"); RETURN NULL;', hash='0fcbc18032d6f2800474ce56786bf9c183917de0', operation='INSERT', pgid='pgtrigger_insert_insert_f3bdf', table='keys_ratelimit', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ratelimit',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_ratelimitevent" ("algorithm", "burst", "counted", "created_at", "description", "enabled", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests", "slug", "tools", "updated_at", "user_id", "window_s") VALUES (NEW."algorithm", NEW."burst", NEW."counted", NEW."created_at", NEW."description", NEW."enabled", NEW."id", NEW."key_id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."requests", NEW."slug", NEW."tools", NEW."updated_at", NEW."user_id", NEW."window_s"); RETURN NULL;', hash='54e7c8713518873dee00df120550f2116a76929a', operation='UPDATE', pgid='pgtrigger_update_update_cf456', table='keys_ratelimit', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='ratelimit',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_ratelimitevent" ("algorithm", "burst", "counted", "created_at", "description", "enabled", "id", "key_id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests", "slug", "tools", "updated_at", "user_id", "window_s") VALUES (OLD."algorithm", OLD."burst", OLD."counted", OLD."created_at", OLD."description", OLD."enabled", OLD."id", OLD."key_id", OLD."namespace_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."requests", OLD."slug", OLD."tools", OLD."updated_at", OLD."user_id", OLD."window_s"); RETURN NULL;', hash='d2ee59b3a6969732a75e8f00965abee0e89cb67c', operation='DELETE', pgid='pgtrigger_delete_delete_8cce4', table='keys_ratelimit', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quota',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='73c24e25d7d776472c6659f413860226fd6389ed', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_90ec4', table='keys_quota', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quota',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_quotaevent" ("amount", "counted", "created_at", "description", "enabled", "hard", "id", "key_id", "measure", "namespace_id", "period", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "team_id", "tools", "updated_at", "user_id", "warn_percent") VALUES (NEW."amount", NEW."counted", NEW."created_at", NEW."description", NEW."enabled", NEW."hard", NEW."id", NEW."key_id", NEW."measure", NEW."namespace_id", NEW."period", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."slug", NEW."team_id", NEW."tools", NEW."updated_at", NEW."user_id", NEW."warn_percent"); RETURN NULL;', hash='e14e399e8579f528e44d278902e71ebdf08bcdb5', operation='INSERT', pgid='pgtrigger_insert_insert_7a777', table='keys_quota', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quota',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_quotaevent" ("amount", "counted", "created_at", "description", "enabled", "hard", "id", "key_id", "measure", "namespace_id", "period", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "team_id", "tools", "updated_at", "user_id", "warn_percent") VALUES (NEW."amount", NEW."counted", NEW."created_at", NEW."description", NEW."enabled", NEW."hard", NEW."id", NEW."key_id", NEW."measure", NEW."namespace_id", NEW."period", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."slug", NEW."team_id", NEW."tools", NEW."updated_at", NEW."user_id", NEW."warn_percent"); RETURN NULL;', hash='cd3623d5caf5963c00f2f53993ebb14ade0d806d', operation='UPDATE', pgid='pgtrigger_update_update_7d5d8', table='keys_quota', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='quota',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_quotaevent" ("amount", "counted", "created_at", "description", "enabled", "hard", "id", "key_id", "measure", "namespace_id", "period", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "slug", "team_id", "tools", "updated_at", "user_id", "warn_percent") VALUES (OLD."amount", OLD."counted", OLD."created_at", OLD."description", OLD."enabled", OLD."hard", OLD."id", OLD."key_id", OLD."measure", OLD."namespace_id", OLD."period", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."slug", OLD."team_id", OLD."tools", OLD."updated_at", OLD."user_id", OLD."warn_percent"); RETURN NULL;', hash='d99f90b8c7491456e3a0ddc1395721a9140b39d8', operation='DELETE', pgid='pgtrigger_delete_delete_88944', table='keys_quota', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='revoke_keys_on_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='UPDATE keys_apikey SET revoked_at = clock_timestamp(), updated_at = clock_timestamp() WHERE team_id = OLD.team_id AND owner_id = OLD.account_id AND revoked_at IS NULL; RETURN NULL;', hash='2522a906fa90855a11cded51a38b5999bf9698fe', operation='DELETE', pgid='pgtrigger_revoke_keys_on_delete_f5a8c', table='keys_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='revoke_keys_on_move', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."account_id" IS DISTINCT FROM (NEW."account_id") OR OLD."team_id" IS DISTINCT FROM (NEW."team_id"))', func='UPDATE keys_apikey SET revoked_at = clock_timestamp(), updated_at = clock_timestamp() WHERE team_id = OLD.team_id AND owner_id = OLD.account_id AND revoked_at IS NULL; RETURN NULL;', hash='5bc6277c4a34fd926b19aef69bf961d62c91c499', operation='UPDATE', pgid='pgtrigger_revoke_keys_on_move_d6ff3', table='keys_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_membershipevent" ("account_id", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "team_id") VALUES (NEW."account_id", NEW."id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."role", NEW."team_id"); RETURN NULL;', hash='598893f2a0349da8ccfaa090644f15d13cae2dd4', operation='INSERT', pgid='pgtrigger_insert_insert_a5317', table='keys_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_membershipevent" ("account_id", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "team_id") VALUES (NEW."account_id", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."role", NEW."team_id"); RETURN NULL;', hash='988c7263cbfc2fe19b73dcb10463b7b8630027de', operation='UPDATE', pgid='pgtrigger_update_update_f5dfc', table='keys_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_membershipevent" ("account_id", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "role", "team_id") VALUES (OLD."account_id", OLD."id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."role", OLD."team_id"); RETURN NULL;', hash='a94f9336cf3b3dec8d42405cc70c0bc19a73572a', operation='DELETE', pgid='pgtrigger_delete_delete_317b5', table='keys_membership', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='configuration_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func="INSERT INTO namespaces_configurationchange (at) VALUES (clock_timestamp()); PERFORM pg_notify('gateway_configuration', ''); RETURN NULL;", hash='73750defbddc6b2b2a4384eeed38be31d545fe7b', level='STATEMENT', operation='INSERT OR UPDATE OR DELETE OR TRUNCATE', pgid='pgtrigger_configuration_changed_d92b5', table='keys_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_apikeyevent" ("addresses_listed", "addresses_mode", "algorithm", "all_namespaces", "burst", "created_at", "created_by", "description", "expires_at", "id", "max_concurrency", "owner_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests_per_minute", "revoked_at", "sees", "team_id", "updated_at", "user_id") VALUES (NEW."addresses_listed", NEW."addresses_mode", NEW."algorithm", NEW."all_namespaces", NEW."burst", NEW."created_at", NEW."created_by", NEW."description", NEW."expires_at", NEW."id", NEW."max_concurrency", NEW."owner_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."requests_per_minute", NEW."revoked_at", NEW."sees", NEW."team_id", NEW."updated_at", NEW."user_id"); RETURN NULL;', hash='4b441a8c6749409eea254f4318fd80012a79af84', operation='INSERT', pgid='pgtrigger_insert_insert_e1fde', table='keys_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_apikeyevent" ("addresses_listed", "addresses_mode", "algorithm", "all_namespaces", "burst", "created_at", "created_by", "description", "expires_at", "id", "max_concurrency", "owner_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests_per_minute", "revoked_at", "sees", "team_id", "updated_at", "user_id") VALUES (NEW."addresses_listed", NEW."addresses_mode", NEW."algorithm", NEW."all_namespaces", NEW."burst", NEW."created_at", NEW."created_by", NEW."description", NEW."expires_at", NEW."id", NEW."max_concurrency", NEW."owner_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."requests_per_minute", NEW."revoked_at", NEW."sees", NEW."team_id", NEW."updated_at", NEW."user_id"); RETURN NULL;', hash='872910f43f045e44d8568f029090ddf6fc4effd5', operation='UPDATE', pgid='pgtrigger_update_update_16fd9', table='keys_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='apikey',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_apikeyevent" ("addresses_listed", "addresses_mode", "algorithm", "all_namespaces", "burst", "created_at", "created_by", "description", "expires_at", "id", "max_concurrency", "owner_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "requests_per_minute", "revoked_at", "sees", "team_id", "updated_at", "user_id") VALUES (OLD."addresses_listed", OLD."addresses_mode", OLD."algorithm", OLD."all_namespaces", OLD."burst", OLD."created_at", OLD."created_by", OLD."description", OLD."expires_at", OLD."id", OLD."max_concurrency", OLD."owner_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."requests_per_minute", OLD."revoked_at", OLD."sees", OLD."team_id", OLD."updated_at", OLD."user_id"); RETURN NULL;', hash='ee9153d2d20d35558ed2a4d54783ef67f0adec50', operation='DELETE', pgid='pgtrigger_delete_delete_11177', table='keys_apikey', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='teamnamespace',
            trigger=pgtrigger.compiler.Trigger(name='take_grants_on_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='DELETE FROM keys_grant g USING keys_apikey k WHERE k.id = g.key_id AND k.team_id = OLD.team_id AND g.namespace_id = OLD.namespace_id; RETURN NULL;', hash='f803f0697533fe8ba97e585ee7107cd858e8df35', operation='DELETE', pgid='pgtrigger_take_grants_on_delete_702f1', table='keys_teamnamespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='teamnamespace',
            trigger=pgtrigger.compiler.Trigger(name='take_grants_on_move', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD."namespace_id" IS DISTINCT FROM (NEW."namespace_id") OR OLD."team_id" IS DISTINCT FROM (NEW."team_id"))', func='DELETE FROM keys_grant g USING keys_apikey k WHERE k.id = g.key_id AND k.team_id = OLD.team_id AND g.namespace_id = OLD.namespace_id; RETURN NULL;', hash='9728e13e5d520be7db708efaadf068be7c478a62', operation='UPDATE', pgid='pgtrigger_take_grants_on_move_54bc7', table='keys_teamnamespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='teamnamespace',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_teamnamespaceevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "team_id") VALUES (NEW."id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."team_id"); RETURN NULL;', hash='3c8c433f4148422db23845e84b8157eaadf254c0', operation='INSERT', pgid='pgtrigger_insert_insert_1033d', table='keys_teamnamespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='teamnamespace',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "keys_teamnamespaceevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "team_id") VALUES (NEW."id", NEW."namespace_id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."team_id"); RETURN NULL;', hash='19b49a60e6c79b3a9332e723560fcab607d2c073', operation='UPDATE', pgid='pgtrigger_update_update_780bd', table='keys_teamnamespace', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='teamnamespace',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "keys_teamnamespaceevent" ("id", "namespace_id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "team_id") VALUES (OLD."id", OLD."namespace_id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."team_id"); RETURN NULL;', hash='c0ae9f73a30aff1ae245a1b16668369e2af5f856', operation='DELETE', pgid='pgtrigger_delete_delete_cfd85', table='keys_teamnamespace', when='AFTER')),
        ),
        ]),
    ]
