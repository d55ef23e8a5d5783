"""What ragas is given to work with: the chat client and the embedder, each with the methods that ragas calls."""

from __future__ import annotations

import asyncio
from typing import Any

from space import models, retriever
from space.chat_client import ChatClient


class Model:
    """ragas' view of the chat client (its InstructorBaseRagasLLM). Blocking calls in threads: ragas opens
    a new event loop for each step, which pooled asynchronous connections do not survive."""

    is_async = True

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self.answers: list[Any] = []
        """All that it was answered, in the order in which it came."""

    def generate(self, prompt: str, response_model: Any) -> Any:
        self.answers.append(self._client.ask(prompt, response_model))
        return self.answers[-1]

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        return await asyncio.to_thread(self.generate, prompt, response_model)


class Embedder:
    """The product's own embedder, as ragas' BaseRagasEmbedding."""

    is_async = True

    def __init__(self) -> None:
        self._model = retriever.load_embedder(models.EMBEDDER)

    def embed_text(self, text: str, **kwargs: Any) -> list[float]:
        return retriever.embed(self._model, [text])[0].tolist()

    async def aembed_text(self, text: str, **kwargs: Any) -> list[float]:
        return self.embed_text(text)

    async def aembed_texts(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        return retriever.embed(self._model, texts).tolist()
