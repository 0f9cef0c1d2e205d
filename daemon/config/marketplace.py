"""The settings of the workload `marketplace`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from daemon.config.section import Section
from daemon.config.types import Weight


class MarketplaceWrites(Section):
    """Weights of the writes of the workload `marketplace`; only their proportions count."""

    sell_offer: Weight = Field(30, description="An offer to sell tokens of a mint.")
    buy_offer: Weight = Field(25, description="An offer to buy them.")
    invoice: Weight = Field(20, description="A pending invoice between two holders of a mint.")
    trade: Weight = Field(
        25, description="Tokens and money change hands, with a paid invoice, if they are there."
    )

    @model_validator(mode="after")
    def _some(self) -> "MarketplaceWrites":
        if not any((self.sell_offer, self.buy_offer, self.invoice, self.trade)):
            raise ValueError("marketplace.writes: all weights are 0; give at least one a weight above 0")
        return self


class MarketplaceReads(Section):
    """Weights of the reads of the workload `marketplace`; only their proportions count."""

    list_mints_50: Weight = Field(14, description="A page of 50 mints.")
    list_mints_500: Weight = Field(2, description="A page of 500 mints.")
    mint_by_hash: Weight = Field(30, description="One mint by its hash.")
    sell_offers: Weight = Field(12, description="A page of the offers to sell.")
    buy_offers: Weight = Field(8, description="A page of the offers to buy.")
    invoices: Weight = Field(8, description="A page of the invoices.")
    address_balance: Weight = Field(12, description="A page of what an address holds.")
    statistics: Weight = Field(1, description="Rows of every table, and all money: scans by nature.")
    mint_sell_offers: Weight = Field(11, description="The newest offers to sell tokens of a mint.")
    balances_by_mint: Weight = Field(2, description="Holders, sum and most of each of a page of mints.")

    @model_validator(mode="after")
    def _some(self) -> "MarketplaceReads":
        if not any(self.model_dump().values()):
            raise ValueError("marketplace.reads: all weights are 0; give at least one read a weight above 0")
        return self


class Marketplace(Section):
    """The workload `marketplace`: mints, offers to sell and to buy, invoices, balances."""

    offers_per_mint: int = Field(
        10, ge=2, le=1000, description="Offers of each mint when its data is loaded, half of them to sell."
    )
    invoices_per_mint: int = Field(
        5, ge=1, le=1000, description="Invoices of each mint when its data is loaded."
    )
    balances_per_mint: int = Field(20, ge=2, le=10_000, description="Addresses that hold a mint.")
    addresses: int = Field(500, ge=2, le=100_000, description="Addresses that there are.")
    keys: Literal["uniform", "zipf", "latest"] = Field(
        "uniform",
        description="Which mints, addresses and pages are asked for: all alike, a few often, or the last "
        "ones.",
    )
    limit: int = Field(50, ge=1, le=10_000, description="Rows of a page, of all lists but the two of mints.")
    writes: MarketplaceWrites = Field(default_factory=MarketplaceWrites, description="Weights of the writes.")
    reads: MarketplaceReads = Field(default_factory=MarketplaceReads, description="Weights of the reads.")

    @model_validator(mode="after")
    def _enough(self) -> "Marketplace":
        if self.balances_per_mint > self.addresses:
            raise ValueError(
                f"marketplace.balances_per_mint {self.balances_per_mint} is more than the "
                f"{self.addresses} of marketplace.addresses: an address holds a mint once; lower the one "
                "or raise the other"
            )
        return self

    def options(self) -> Mapping[str, Any]:
        """Return the keyword arguments of `daemon.workloads.marketplace.workload.Marketplace`."""
        return self.model_dump()
