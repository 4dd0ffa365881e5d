# The relay and nothing else, as a user who owns no file. docs/containers.md says how to run it.
ARG PYTHON=3.13

# With a compiler, for those dependencies that have no wheel for this machine.
FROM python:${PYTHON} AS build
WORKDIR /src
COPY . .
# The last command lets Twisted write down which plug-ins there are; later it could not.
RUN python -m venv /opt/realtime-relay \
    && /opt/realtime-relay/bin/pip install --no-cache-dir '.[jwt,fleet]' \
    && /opt/realtime-relay/bin/twistd --help >/dev/null

FROM python:${PYTHON}-slim
COPY --from=build /opt/realtime-relay /opt/realtime-relay
ENV PATH=/opt/realtime-relay/bin:$PATH PYTHONFAULTHANDLER=1
USER 10001:10001
EXPOSE 8080 9090
# It drains. Give it more time than drain_delay_seconds and drain_seconds together.
STOPSIGNAL SIGTERM
ENTRYPOINT ["realtime-relay"]
CMD ["run", "--config", "/etc/realtime-relay/relay.toml"]
