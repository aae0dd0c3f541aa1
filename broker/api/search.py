"""Searching the live book."""

from litestar import Controller, get
from litestar.di import NamedDependency

from broker.app import Services
from broker.services.search_views import BookSearch, SearchQuery


class SearchController(Controller):
    """Every offer the book has."""

    path = "/v1/search"
    tags = ("offers",)

    @get("/", operation_id="SearchBook", summary="Search the live book")
    async def search(self, services: NamedDependency[Services], search_query: NamedDependency[SearchQuery]) -> BookSearch:
        """Offers that meet every demand by all-in cost a reference hour, counts by facet, and why each of the others was left out.

        What is stale, damped, paused or suspect is left out for its state, unless such states are asked for.
        """
        return await services.search.search(search_query)
