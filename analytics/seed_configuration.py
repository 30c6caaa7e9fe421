"""The configuration that belongs to the rows of `seed_log`: upstreams, namespaces and keys, for pickers."""

from __future__ import annotations

from django.db import connection, transaction

from analytics.seed_names import World
from keys.models import ApiKey, KeySecret
from keys.secrets import digest, generate, pepper_id, shown_prefix
from namespaces.models import Mount, Namespace, Upstream


@transaction.atomic
def create(world: World, pepper: str) -> int:
    """Make the upstreams, namespaces, mounts and keys of `world` and return the number of keys.

    Nobody is told the keys' secrets. Raises IntegrityError where one of them is there already.
    """
    names = sorted({upstream for _, upstream in world.mounts})
    upstreams = {
        name: Upstream.objects.create(
            slug=name, url=f"http://127.0.0.1:9/{name}", description=f"Invented: the {name} server.", enabled=True
        )
        for name in names
    }
    for slug, upstream in world.mounts:
        namespace = Namespace.objects.create(slug=slug, description=f"Invented: {slug} of the {upstream} server.")
        Mount.objects.create(namespace=namespace, upstream=upstreams[upstream])
    ApiKey.objects.bulk_create(
        ApiKey(pk=number, user_id=user, description="Invented.", all_namespaces=True, created_by="seed_log")
        for number, user in world.keys
    )
    secrets = [(number, generate()) for number, _ in world.keys]
    KeySecret.objects.bulk_create(
        KeySecret(key_id=number, digest=digest(secret, pepper), pepper=pepper_id(pepper), prefix=shown_prefix(secret))
        for number, secret in secrets
    )
    with connection.cursor() as cursor:
        # The numbers were given by us; the next key takes the one after them.
        cursor.execute("SELECT setval(pg_get_serial_sequence('keys_apikey', 'id'), max(id)) FROM keys_apikey")
    return len(world.keys)
