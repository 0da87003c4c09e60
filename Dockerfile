# One image for all of it: the migration, the API, the runner and the streams.
FROM python:3.11.15-slim-bookworm

WORKDIR /sijil
COPY requirements/build.txt requirements/runtime.txt requirements/analytics.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && pip install --no-cache-dir --require-hashes -r requirements/analytics.txt
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY ledger ledger
COPY projections projections
COPY office office
COPY api api
COPY consumers consumers
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --system --home-dir /sijil sijil \
    # A new volume begins as this: whoever the container runs as may write there.
    && install --directory --mode 1777 /var/lib/sijil/analytics
USER sijil
ENTRYPOINT ["sijil"]
