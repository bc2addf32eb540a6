"""All that is served about the bytes of files."""

from collections.abc import Callable

from aiohttp import web

from roost.database.catalogue import Catalogue
from roost.database.transactions import Transactions
from roost.files.calls import Calls
from roost.files.chunks import Chunks
from roost.files.downloads import Downloads
from roost.files.links import Links
from roost.files.uploads import Uploads
from roost.tokens import AccessTokens


class Files:
    """Uploads, chunks and downloads, over the same connections."""

    def __init__(
        self,
        transactions: Transactions,
        tokens: AccessTokens,
        link_secret: str,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        """
        link_secret -- the key of signed links
        catalogue -- the functions and errors as they are in the database now
        """
        calls = Calls(transactions, catalogue)
        self._uploads = Uploads(calls, tokens)
        self._chunks = Chunks(calls, tokens)
        self._downloads = Downloads(calls, tokens, Links(link_secret))

    def routes(self) -> list[web.RouteDef]:
        """The routes of all of them."""
        return [
            *self._uploads.routes(),
            *self._chunks.routes(),
            *self._downloads.routes(),
        ]

    async def close(self, seconds: float) -> None:
        """Waits, so many seconds, until what has arrived is stored."""
        await self._uploads.close(seconds)
