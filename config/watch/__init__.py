"""The watchdog of a worker: who is there and takes no work is ended, and then started again.

A worker whose connection to the broker is blocked, or whose main process is frozen, lives on,
answers perhaps even a ping, and does nothing (R12). Each worker and beat therefore start a second
process (`watchdog`) that judges them by what they write on a shared board (`board`) while they work
(`worker`), and that ends them with kill -9. Starting them again is their starter's business: the
supervisor's, docker compose's. Nothing here knows what the tasks do.
"""
