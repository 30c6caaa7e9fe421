"""Embedded PostgreSQL."""


def socket_directory(d):
    return d
