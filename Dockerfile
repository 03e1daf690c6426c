# One image for every role; compose.yaml gives each its command.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 holdfast
WORKDIR /srv/holdfast
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock
COPY . .
RUN install -d -o holdfast -g holdfast /var/lib/holdfast /run/holdfast
# The sandboxes' runner is started by this name.
RUN test -x /usr/bin/python3 || ln -s "$(command -v python3)" /usr/bin/python3
USER holdfast
ENV PYTHONUNBUFFERED=1 DATA_DIR=/var/lib/holdfast SANDBOX_SOCKET=/run/holdfast/sandbox.sock EGRESS_SOCKET=/run/holdfast/egress.sock
EXPOSE 8400
