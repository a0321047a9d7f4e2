"""Which address families a Service gets, and which changes of them are allowed. Pure.

Source: kube-apiserver's registry/core/service/storage (alloc.go, storage.go), v1.36, and KEP-563.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.lab.memory.addresses import IPv4, IPv6, family_of
from heliograph.lab.memory.ip_checks import check_ip
from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import Cause, duplicate, invalid, not_supported

SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
HEADLESS = "None"


def is_headless(spec: Mapping[str, Any]) -> bool:
    """Whether the Service has no cluster address by its own wish."""
    return spec.get("clusterIP") == HEADLESS or spec.get("clusterIPs", [])[:1] == [HEADLESS]


def keep_allocated(spec: JsonObject, old: JsonObject) -> None:
    """Carry addresses over into an update that does not mention them (`old` is not changed)."""
    if "ExternalName" in (spec.get("type"), old.get("type")):
        return
    if not spec.get("clusterIP") and old.get("clusterIP"):
        spec["clusterIP"] = old["clusterIP"]
    if not spec.get("clusterIPs") and old.get("clusterIPs"):
        spec["clusterIPs"] = list(old["clusterIPs"])


def align_plural(spec: JsonObject, old: JsonObject | None) -> None:
    """Derive `clusterIPs` from `clusterIP` for clients that know only the latter."""
    single, plural = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    if old is None:
        if single and not plural:
            spec["clusterIPs"] = [single]
    elif single != old.get("clusterIP", "") and plural == old.get("clusterIPs", []):
        spec["clusterIPs"] = [single] if single else []


def settle_families(
    spec: JsonObject, old: JsonObject | None, configured: Sequence[str]
) -> list[Cause]:
    """Fill in `ipFamilyPolicy` and `ipFamilies`; say what stands against what was asked for.

    Args:
        spec: The Service's spec, changed in place.
        old: The stored one, if any.
        configured: The cluster's families, the primary one first.
    """
    if spec["type"] == "ExternalName" or _still_preferring(spec, old):
        return []
    spec.setdefault("ipFamilyPolicy", _default_policy(spec, old))
    if causes := check_related(spec):
        return causes
    if old is not None and spec["ipFamilyPolicy"] == SINGLE:
        _release_secondary(spec, old)
    causes = [*_unannounced_release(spec, old), *_too_many(spec), *_infer(spec, configured)]
    if causes or _selectorless_headless(spec, configured):
        return causes
    if causes := _unconfigured(spec, configured):
        return causes
    _complete(spec, configured)
    return []


def check_related(spec: JsonObject) -> list[Cause]:
    """Say where `clusterIP`, `clusterIPs`, `ipFamilies` and the policy contradict one another."""
    causes = [*_check_single(spec), *_check_families(spec), *_check_addresses(spec)]
    return causes or _check_pairs(spec)


def check_change(spec: JsonObject, old: JsonObject) -> list[Cause]:
    """Say which addresses or families an update may not change."""
    if "ExternalName" in (spec["type"], old["type"]) or (is_headless(spec) and is_headless(old)):
        return []
    causes = _check_kept("clusterIPs", spec, old)
    if is_headless(spec) == is_headless(old):
        causes += _check_kept("ipFamilies", spec, old)
    return causes


def _still_preferring(spec: JsonObject, old: JsonObject | None) -> bool:
    same = ("ipFamilyPolicy", "clusterIPs", "ipFamilies")
    return (
        old is not None
        and spec.get("ipFamilyPolicy") == PREFER
        and all(spec.get(f) == old.get(f) for f in same)
    )


def _default_policy(spec: JsonObject, old: JsonObject | None) -> str:
    if old is not None and "ipFamilyPolicy" in old:
        return str(old["ipFamilyPolicy"])
    return REQUIRE if is_headless(spec) and not spec.get("selector") else SINGLE


def _release_secondary(spec: JsonObject, old: JsonObject) -> None:
    for member in ("clusterIPs", "ipFamilies"):
        if spec.get(member) == old.get(member) and len(spec.get(member, [])) > 1:
            spec[member] = spec[member][:1]


def _unannounced_release(spec: JsonObject, old: JsonObject | None) -> list[Cause]:
    if old is None or spec["ipFamilyPolicy"] == SINGLE:
        return []
    words = {"clusterIPs": "cluster IP", "ipFamilies": "IP family"}
    return [
        invalid(
            "spec.ipFamilyPolicy",
            spec["ipFamilyPolicy"],
            f"must be 'SingleStack' to release the secondary {word}",
        )
        for member, word in words.items()
        if len(old.get(member, [])) == 2 and len(spec.get(member, [])) == 1  # noqa: PLR2004
    ]


def _too_many(spec: JsonObject) -> list[Cause]:
    if spec["ipFamilyPolicy"] != SINGLE:
        return []
    words = {"clusterIPs": "cluster IPs", "ipFamilies": "IP families"}
    why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple {} are specified"
    return [
        invalid("spec.ipFamilyPolicy", SINGLE, why.format(word))
        for member, word in words.items()
        if len(spec.get(member, [])) == 2  # noqa: PLR2004
    ]


def _infer(spec: JsonObject, configured: Sequence[str]) -> list[Cause]:
    families = list(spec.get("ipFamilies", []))
    for index, address in enumerate(spec.get("clusterIPs", [])):
        if address == HEADLESS or index < len(families):
            continue
        family = family_of(address)
        if family not in configured:
            why = f"{family} is not configured on this cluster"
            return [invalid(f"spec.clusterIPs[{index}]", spec["clusterIPs"], why)]
        families.append(family)
    spec["ipFamilies"] = families
    return []


def _selectorless_headless(spec: JsonObject, configured: Sequence[str]) -> bool:
    """Give a headless Service without selector both families, even on a single-stack cluster."""
    if not is_headless(spec) or spec.get("selector"):
        return False
    families = spec["ipFamilies"] or [configured[0]]
    if len(families) == 1 and spec["ipFamilyPolicy"] != SINGLE:
        families.append(_other(families[0]))
    spec["ipFamilies"] = families
    return True


def _unconfigured(spec: JsonObject, configured: Sequence[str]) -> list[Cause]:
    causes = []
    if spec["ipFamilyPolicy"] == REQUIRE and len(configured) == 1:
        why = "this cluster is not configured for dual-stack services"
        causes.append(invalid("spec.ipFamilyPolicy", REQUIRE, why))
    return causes + [
        invalid(f"spec.ipFamilies[{i}]", family, "not configured on this cluster")
        for i, family in enumerate(spec["ipFamilies"])
        if family not in configured
    ]


def _complete(spec: JsonObject, configured: Sequence[str]) -> None:
    families = spec["ipFamilies"] or [configured[0]]
    if spec["ipFamilyPolicy"] != SINGLE and len(families) == 1 and len(configured) > 1:
        families.append(_other(families[0]))
    spec["ipFamilies"] = families


def _other(family: str) -> str:
    return IPv6 if family == IPv4 else IPv4


def _check_single(spec: JsonObject) -> list[Cause]:
    single, plural = spec.get("clusterIP", ""), spec.get("clusterIPs", [])
    if single and plural[:1] != [single]:
        return [invalid("spec.clusterIPs", plural, "first value must match `clusterIP`")]
    if plural and not single:
        why = "must be empty when `clusterIP` is not specified"
        return [invalid("spec.clusterIPs", plural, why)]
    return []


def _check_families(spec: JsonObject) -> list[Cause]:
    families, causes = spec.get("ipFamilies", []), []
    for index, family in enumerate(families):
        if family not in (IPv4, IPv6):
            causes.append(not_supported(f"spec.ipFamilies[{index}]", family, (IPv4, IPv6)))
        if family in families[:index]:
            causes.append(duplicate(f"spec.ipFamilies[{index}]", family))
    policy = spec.get("ipFamilyPolicy")
    if policy not in (None, SINGLE, PREFER, REQUIRE):
        causes.append(not_supported("spec.ipFamilyPolicy", policy, (PREFER, REQUIRE, SINGLE)))
    return causes


def _check_addresses(spec: JsonObject) -> list[Cause]:
    plural = spec.get("clusterIPs", [])
    if HEADLESS in plural[:1]:
        why = "'None' must be the first and only value"
        return [invalid("spec.clusterIPs", plural, why)] if len(plural) > 1 else []
    causes = [c for i, a in enumerate(plural) for c in check_ip(f"spec.clusterIPs[{i}]", a)]
    if len(plural) > 2:  # noqa: PLR2004
        causes.append(invalid("spec.clusterIPs", plural, "may only hold up to 2 values"))
    return causes


def _check_pairs(spec: JsonObject) -> list[Cause]:
    plural = spec.get("clusterIPs", [])
    if is_headless(spec):
        return []
    found = [family_of(a) for a in plural]
    if len(found) > len(set(found)):
        why = "may specify no more than one IP for each IP family"
        return [invalid("spec.clusterIPs", plural, why)]
    pairs = zip(plural, found, spec.get("ipFamilies", []), strict=False)
    why = "expected an {1} value as indicated by `ipFamilies[{0}]`"
    return [
        invalid(f"spec.clusterIPs[{i}]", address, why.format(i, wanted))
        for i, (address, family, wanted) in enumerate(pairs)
        if family != wanted
    ]


def _check_kept(member: str, spec: JsonObject, old: JsonObject) -> list[Cause]:
    now, before = spec.get(member, []), old.get(member, [])
    return [
        invalid(f"spec.{member}[{i}]", now, "may not change once set")
        for i, (left, right) in enumerate(zip(now, before, strict=False))
        if left != right
    ]
