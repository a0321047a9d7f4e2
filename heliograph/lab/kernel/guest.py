"""How the guest is started, and what it runs. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MODULES: Final = ("wireguard", "veth", "tun", "dummy", "nf_tables", "nft_chain_nat", "nft_masq")
"""Loaded before anything runs: a namespace that a test makes loads none by itself."""

NO_WIREGUARD: Final = 70
"""Exit code of a guest whose kernel has no WireGuard after all: its tests would all be skipped."""

_QUICKER: Final = (
    "mitigations=off init_on_alloc=0 audit=0 apparmor=0 nokaslr no5lvl nowatchdog "
    "tsc=reliable rcupdate.rcu_expedited=1 random.trust_cpu=on"
)
"""Kernel parameters that halve what the emulator must do; nothing in here needs protection."""

# virtme's own mount of the machine's files caches nothing, and Python then takes a minute to start:
# hence a second one with a cache, below a layer that takes whatever is written. Without udev the
# ports have no names in /dev, so they are looked for. A console would mix in the kernel's messages.
_SCRIPT: Final = """\
#!/bin/sh
port() {{ grep -lx "$1" /sys/class/virtio-ports/*/name | cut -d/ -f5; }}
uptime() {{ cut -d' ' -f1 /proc/uptime; }}
exec >"/dev/$(port heliograph.output)" 2>&1
status="/dev/$(port heliograph.status)"
export PATH={path}
root=/run/heliograph
mkdir -p $root/files $root/layer $root/root
mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000 heliograph $root/files
mount -t tmpfs none $root/layer
mkdir $root/layer/upper $root/layer/work
mount -t overlay -o lowerdir=$root/files,upperdir=$root/layer/upper,workdir=$root/layer/work \\
    none $root/root
mkdir -p $root/root/lib/modules
cp -P /lib/modules/* $root/root/lib/modules/
for each in proc sys dev run tmp; do mount --rbind /$each $root/root/$each; done
chroot $root/root modprobe -a {modules}
if chroot $root/root ip link add probe0 type wireguard; then
    ip link del probe0
    echo "Linux $(uname -r) runs, $(uptime) s after its start"
    chroot $root/root sh -c {command}
    code=$?
else
    code={no_wireguard}
fi
echo "the guest ends $(uptime) s after its start"
echo $code >"$status"
"""


def script(command: Sequence[str], *, cwd: Path, path: str) -> str:
    """Return the shell script that the guest runs: `command` in `cwd`, with WireGuard loaded.

    Args:
        command: Words, not for a shell.
        cwd: A folder of this machine.
        path: Where commands are looked for.
    """
    inner = f"cd {shlex.quote(str(cwd))} && exec {shlex.join(command)}"
    return _SCRIPT.format(
        path=shlex.quote(path),
        modules=" ".join(MODULES),
        command=shlex.quote(inner),
        no_wireguard=NO_WIREGUARD,
    )


def vng(program: Path, kernel: Path, script_file: Path, status_file: Path) -> list[str]:
    """Return the command line that boots `kernel`, runs the script, and powers off.

    The script's output comes to stdout, the kernel's messages to stderr, and the command's exit
    code, in decimal, into the status file.
    """
    qemu = [
        "-fsdev local,id=heliograph,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device virtio-9p-pci,fsdev=heliograph,mount_tag=heliograph",
        "-device virtio-serial-pci",
        *_port("output", "/proc/self/fd/1"),
        *_port("status", str(status_file)),
    ]
    return [
        *(str(program), "--verbose", "--run", str(kernel), "--user", "root"),
        *("--force-9p", "--disable-kvm", "--cpus", "2", "--memory", "2G"),
        *("--append", _QUICKER, f"--qemu-opts={' '.join(qemu)}", "--exec", str(script_file)),
    ]


def _port(name: str, path: str) -> tuple[str, str]:
    return (
        f"-chardev file,id=heliograph-{name},path={path}",
        f"-device virtserialport,name=heliograph.{name},chardev=heliograph-{name}",
    )
