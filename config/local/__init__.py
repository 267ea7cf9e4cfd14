"""One machine's own set-up: services from wheels, the supervisor, `make demo`, `make main-job`.

What a stranger needs to see the product run lives here, and what the tests need to have a database.
Nothing in the product imports it but the watchdog (`lifetime`, how a process is tied to another),
and production does not use it (see docker-compose.yml).
"""
