# The gateway as a non-root image. With DATABASE_URL it uses that server; without, the PostgreSQL it carries.
FROM python:3.11-slim-bookworm AS build
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM python:3.11-slim-bookworm
RUN groupadd --gid 1001 gateway \
    && useradd --uid 1001 --gid gateway --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway \
    && install --directory --owner=gateway --group=gateway --mode=0700 /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY manage.py LICENSE ./
COPY namespaces ./namespaces
COPY keys ./keys
COPY analytics ./analytics
COPY proxy ./proxy
COPY gateway_project ./gateway_project
COPY templates ./templates
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_DATA_DIR=/data \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8080
RUN python -m compileall -q manage.py namespaces keys analytics proxy gateway_project
USER 1001:1001
VOLUME /data
EXPOSE 8080
# SIGTERM lets open calls finish; give `docker stop` more time than GATEWAY_DRAIN_TIMEOUT_S.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"GATEWAY_PORT\"]}/live', timeout=2)"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]
