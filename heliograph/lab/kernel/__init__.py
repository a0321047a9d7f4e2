"""A kernel that has WireGuard, for the tests that need one, on a machine whose own has none.

A kernel of Debian's, fetched into the cache and never installed, boots under QEMU by virtme-ng; it
sees this machine's files and can write none of them. `package.py` fetches the kernel,
`requirements.py` says what else must be there, `guest.py` says what is run, `boot.py` runs it.
"""
