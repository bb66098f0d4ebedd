"""The access file: whose tokens are taken, and the rules that give identities a tenant and scopes.

```toml
[[issuers]]
name = "cluster"
issuer = "https://kubernetes.default.svc.cluster.local"
audience = "backdrop"
jwks = "https://kubernetes.default.svc/openid/v1/jwks"   # or the path of a file
algorithms = ["RS256"]

[[rules]]                                                # the first rule that matches decides
issuer = "cluster"
subject = "system:serviceaccount:(?P<tenant>[a-z0-9-]+):.*"
scopes = ["generate", "info"]

[[rules]]
certificate = "CN:shop"                                  # or "DNS:…", "URI:…": a subject alternative name
tenant = "shop"
scopes = ["generate:backdrop"]
```
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backdrop.contract.access import check_scope
from orchestrator.identity.caller import Caller, check_tenant
from orchestrator.identity.jwts import Issuer
from orchestrator.identity.keys import described


class Rule(BaseModel):
    """Lets identities in: those of an issuer by their subject, or client certificates by one of their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = ""
    subject: re.Pattern[str] | None = None
    certificate: re.Pattern[str] | None = None
    tenant: str = ""
    """The tenant; "" = the group `tenant` of the pattern."""
    scopes: tuple[str, ...] = Field(min_length=1)

    @field_validator("scopes")
    @classmethod
    def _are_scopes(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_scope(value) for value in values)

    @field_validator("tenant")
    @classmethod
    def _is_tenant(cls, value: str) -> str:
        return check_tenant(value) if value else value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.subject is None) == (self.certificate is None) or (self.subject is None) != (not self.issuer):
            raise ValueError("a rule has either `issuer` and `subject`, or `certificate`")
        if not self.tenant and "tenant" not in self.pattern.groupindex:
            raise ValueError("a rule has `tenant`, or a group (?P<tenant>…) in its pattern")
        return self

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a whole subject, or a whole name of a certificate, must match."""
        pattern = self.subject or self.certificate
        assert pattern is not None  # `_is_whole`
        return pattern

    def caller(self, name: str, record: str) -> Caller | None:
        """The caller of that name, or None if it does not match or its tenant cannot be one."""
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        try:
            tenant = self.tenant or check_tenant(match["tenant"] or "")
        except ValueError:
            return None
        return Caller(tenant, record, frozenset(self.scopes))


class Access(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuers: tuple[Issuer, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names_match(self) -> Self:
        names = [issuer.name for issuer in self.issuers]
        if len({*names}) < len(names) or len({issuer.issuer for issuer in self.issuers}) < len(names):
            raise ValueError("two issuers have the same `name` or `issuer`")
        unknown = sorted({rule.issuer for rule in self.rules if rule.issuer} - {*names})
        if unknown:
            raise ValueError(f"a rule names the issuer {unknown[0]!r}, which is not among the issuers")
        return self

    @classmethod
    def read(cls, path: Path) -> Access:
        """Reads the file; raises OSError or ValueError."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text()))
        except ValidationError as problem:
            raise ValueError(described(problem)) from None

    def issuer(self, claim: str) -> Issuer | None:
        """The issuer that a token names."""
        return next((issuer for issuer in self.issuers if issuer.issuer == claim), None)

    def by_subject(self, issuer: Issuer, subject: str) -> Caller | None:
        """The caller that a token of the issuer proves; None if no rule lets it in."""
        record = f"token:{issuer.name}:{subject}"
        rules = (rule for rule in self.rules if rule.issuer == issuer.name)
        return next((caller for rule in rules if (caller := rule.caller(subject, record))), None)

    def by_certificate(self, names: Sequence[str]) -> Caller | None:
        """The caller whose certificate has these names, such as "CN:shop"; None if no rule lets it in."""
        rules = (rule for rule in self.rules if rule.certificate is not None)
        callers = (rule.caller(name, f"certificate:{name}") for rule in rules for name in names)
        return next((caller for caller in callers if caller), None)
