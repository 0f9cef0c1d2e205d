# The image of soakd; docker-compose.yml builds and runs it. By itself: docker build -t soakd . && docker run --rm soakd --help

FROM python:3.13-slim-bookworm AS build
ENV PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The environment has no pip: what installs stays behind in this stage.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/soakd \
 && pip --python /opt/soakd/bin/python install --no-compile --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY daemon daemon
# What builds the package is in the lock too, so nothing is fetched; then it goes, and pip, which sqlite-utils asks for
# and only its own command line would use.
RUN pip --python /opt/soakd/bin/python install --no-compile --no-index --no-build-isolation --no-deps . \
 && pip --python /opt/soakd/bin/python uninstall --yes \
    editables hatchling packaging pathspec pip tomlkit trove-classifiers
# Two fifths of what is left is of no use at run time: tests, type stubs, sources and headers in C, debug information, and
# the parts of libraries that soakd does not import: of apsw all but SQLite itself, of pygments every language.
RUN cd /opt/soakd/lib/python3*/site-packages \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.[ach]' \
    -o -name '*_tests.*.so' -o -name '_simd.*.so' \) -delete \
 && rm -rf numpy/f2py numpy/random numpy/fft numpy/ma numpy/polynomial numpy/testing \
    apsw/[!_]* apsw/_unicode.* pygments/lexers/[!_]* \
 && strip --strip-debug uvloop/*.so yaml/*.so
# Does it still work? A run on SQLite, and all that a run on PostgreSQL would load.
RUN /opt/soakd/bin/soakd run --target sqlite:////tmp/smoke.db --duration 1s --listen 127.0.0.1:0 \
 && /opt/soakd/bin/python -c 'import yaml, jinja2, sqlite_utils, daemon.backends.postgres, psycopg; assert psycopg.pq.__impl__ == "binary"'

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="soakd" \
      org.opencontainers.image.description="A long-running database load daemon that measures truthfully" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-bookworm"
RUN groupadd --gid 10001 soakd \
 && useradd --uid 10001 --gid soakd --home-dir /data --shell /usr/sbin/nologin soakd \
 && install --directory --owner soakd --group soakd /data
COPY --from=build /opt/soakd /opt/soakd
# The root is read-only and holds no bytecode: it is made at the start, in memory where /tmp is. That keeps the image
# small and a health check, which starts Python anew each time, cheap.
ENV PATH=/opt/soakd/bin:$PATH PYTHONPYCACHEPREFIX=/tmp/pycache
USER soakd
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["soakd", "health"]
ENTRYPOINT ["soakd"]
CMD ["run"]
