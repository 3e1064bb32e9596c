# The gateway as a container: no root, a root file system that may be read-only, documents
# and database in the volume /data, settings mounted at /etc/edu-gateway.
# `edu-gateway service print compose` prints a compose file for it; see docs/service.md.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-postgres.txt /
RUN ["python", "-m", "venv", "/opt/edu-gateway/venv"]
RUN ["/opt/edu-gateway/venv/bin/python", "-m", "pip", "install", "--require-hashes", "-r", "/requirements-postgres.txt"]
COPY gateway /opt/edu-gateway/gateway
COPY mappings /opt/edu-gateway/mappings
COPY wsdl /opt/edu-gateway/wsdl
RUN ["/opt/edu-gateway/venv/bin/python", "-m", "compileall", "-q", "/opt/edu-gateway"]

FROM python:3.11-slim-bookworm
ENV PATH=/opt/edu-gateway/venv/bin:$PATH \
    PYTHONPATH=/opt/edu-gateway \
    PYTHONDONTWRITEBYTECODE=1 \
    EDU_GATEWAY_FOLDER=/data \
    EDU_GATEWAY_LISTEN_HOST=0.0.0.0 \
    EDU_GATEWAY_LISTEN_PORT=9093
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "--shell", "/usr/sbin/nologin", "edu-gateway"]
RUN ["install", "-d", "-o", "10001", "-g", "10001", "-m", "0700", "/data"]
COPY --from=build /opt/edu-gateway /opt/edu-gateway
USER 10001:10001
WORKDIR /etc/edu-gateway
VOLUME /data
EXPOSE 9093
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9093/manage/health/readiness', timeout=5)"]
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["run", "--config", "/etc/edu-gateway/gateway.toml"]
