# One file for every connector. `make image C=source-postgres` calls it as it should be; by hand that is
#
#     docker build --build-arg CONNECTOR=source-postgres --build-arg VERSION=0.1.0 -t source-postgres:0.1.0 .
#
# BASE may be any image with sh, Python 3.11 or newer and its module venv. docs/images.md tells the rest.

ARG BASE=docker.io/library/python:3.13-slim-bookworm

# What builds, in an environment that stays behind.
FROM ${BASE} AS tools
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python3 -m venv /tools && /tools/bin/pip install --no-cache-dir --quiet hatchling

# Our own packages as wheels, and the list of what they need.
FROM tools AS wheels
ARG CONNECTOR
COPY . /src
RUN test -n "${CONNECTOR}" || { echo "say which connector: --build-arg CONNECTOR=source-postgres" >&2; exit 1; } && \
    cd /src && mkdir /wheels /needs && \
    python3 images/needs.py "${CONNECTOR}" /needs && \
    cp requirements.lock images/slim.py images/connector.sh /needs/ && \
    find images "${CONNECTOR}" -maxdepth 1 -name slim.txt -exec cat {} + > /needs/slim.txt && \
    /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels $(cat /needs/ours.txt) && \
    find build/wheels -name '*.whl' -exec cp {} /wheels/ \; && \
    find /needs /wheels -exec touch --date=@0 {} +  # so that what has not changed is not installed again

# Everything that runs: what others made first, since it changes least. The native part is taken where it fits.
FROM tools AS installed
ARG CONNECTOR
ARG VERSION
COPY --from=wheels /needs /needs
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=certificates \
    python3 -m venv --without-pip /airbyte/venv && \
    /tools/bin/pip --python /airbyte/venv/bin/python install --no-cache-dir --quiet --no-compile \
        --constraint /needs/requirements.lock --requirement /needs/others.txt && \
    python3 /needs/slim.py /needs/slim.txt /airbyte/venv/lib/python3*/site-packages && \
    /airbyte/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /airbyte/venv
COPY --from=wheels /wheels /wheels
RUN install="/tools/bin/pip --python /airbyte/venv/bin/python install --quiet --no-compile --no-index --no-deps" && \
    $install --find-links /wheels "${CONNECTOR}" $(cat /needs/ours-names.txt) && \
    { [ -z "$(find /wheels -name 'connector_native-*')" ] || $install /wheels/connector_native-*.whl || \
      echo "the native part does not fit this base image and is left out" >&2; } && \
    /airbyte/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /airbyte/venv && \
    sed "s/NAME/${CONNECTOR}/" /needs/connector.sh > /airbyte/connector && \
    chmod 755 /airbyte/connector && \
    /airbyte/connector spec > /dev/null && \
    found="$(/airbyte/connector --version)" && \
    { [ "$found" = "${CONNECTOR} ${VERSION}" ] || \
      { echo "this is $found: say so by --build-arg VERSION=${found##* }" >&2; exit 1; }; }

# The image: the base without its installers, and what runs.
FROM ${BASE}
ARG CONNECTOR
ARG VERSION
ARG NAME=${CONNECTOR}
RUN rm -rf /usr/share/python-wheels /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/pydoc* && \
    rm -rf $(python3 -c 'import ensurepip; print(ensurepip.__path__[0])') && \
    rm -rf /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* && \
    groupadd --gid 1000 airbyte && \
    useradd --uid 1000 --gid 1000 --home-dir /airbyte --create-home --skel /nowhere airbyte
ENV AIRBYTE_ENTRYPOINT=/airbyte/connector PYTHONDONTWRITEBYTECODE=1
LABEL io.airbyte.name=${NAME} io.airbyte.version=${VERSION}
USER 1000:1000
WORKDIR /airbyte
ENTRYPOINT ["/airbyte/connector"]
COPY --from=installed /airbyte /airbyte
