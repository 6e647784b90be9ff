"""StreamKVCache: cells of its own for every sequence id."""

from __future__ import annotations

from collections.abc import Collection

from edge_llama.engine.kv.kv_cache import ByteArray, KVCache, NativeMemory


class StreamKVCache(KVCache):
    """The books of llama.cpp's KV cache with streams, each as long as the longest request.

    A token attends to the cells of its own stream only. Nothing is shared: a prefix is copied, all
    the stream at once, when llama.cpp decodes next.

    llama.cpp computes sequences together whose streams are neighbours, and others in steps of their
    own, each of which reads all weights. So a sequence may change its stream:

        stream       0 1 2 3                0 1 2 3
        sequence     a x b      gather      a b x
        with tokens                (a, b)

    Args:
        memory: llama.cpp's memory, or a fake.
        n_cells: cells of all streams together.
        n_seq_max: streams.
    """

    def __init__(self, memory: NativeMemory, n_cells: int, n_seq_max: int) -> None:
        super().__init__(memory, n_cells, n_seq_max)
        self.stream_size = self.block_size = n_cells // n_seq_max
        """Cells of a stream. A state is always of a whole stream."""
        # Permutations of each other; ids that are free have a stream too.
        self._stream_of = list(range(n_seq_max))
        self._id_in = list(range(n_seq_max))

    @property
    def n_free(self) -> int:
        return self.n_cells - sum(self._lengths.values())

    def room(self, seq_id: int) -> int:
        return self.stream_size - self._lengths[seq_id]

    def fits(self, n: int, seq_ids: Collection[int], source: int, length: int) -> bool:
        """Always: each sequence has its own room."""
        return True

    def depth(self, seq_ids: Collection[int]) -> int:
        """The longest of them: the others are padded up to it."""
        return max((self._lengths[seq_id] for seq_id in seq_ids), default=0)

    def native_id(self, seq_id: int) -> int:
        return self._stream_of[seq_id]

    def gather(self, seq_ids: Collection[int]) -> bool:
        """Move sequences into neighbouring streams, with as few copies as can be."""
        streams = {self._stream_of[seq_id] for seq_id in seq_ids}
        size = len(streams)
        if not streams or max(streams) - min(streams) < size:
            return True

        def copies(start: int) -> int:
            holes = set(range(start, start + size)) - streams
            return sum(2 if self._holds(hole) else 1 for hole in holes)

        start = min(range(self.n_seq_max - size + 1), key=copies)
        window = set(range(start, start + size))
        holes = sorted(window - streams, key=self._holds)
        for hole, stream in zip(holes, sorted(streams - window), strict=True):
            if self._holds(hole):
                spare = next((s for s in range(self.n_seq_max) if not self._holds(s)), None)
                if spare is None:
                    return False
                self._move(hole, spare)
            self._move(stream, hole)
        return True

    def extend(self, seq_id: int, n: int) -> None:
        assert n <= self.room(seq_id), "extend() beyond the end of a stream"
        self._lengths[seq_id] += n

    def trim(self, seq_id: int, length: int) -> None:
        if length < self._lengths[seq_id]:
            self._memory.remove(self._stream_of[seq_id], length)
            self._lengths[seq_id] = length

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target` hold a copy of `source`, cut to `length`, unless it has as much."""
        if length > self._lengths[target]:
            self._memory.copy(self._stream_of[source], self._stream_of[target], 0, -1)
            self.settled = False
            self._lengths[target] = self._lengths[source]
            self.trim(target, length)

    def save(self, seq_id: int, start: int, end: int, into: ByteArray | None = None) -> ByteArray:
        """The state of all that the sequence holds, which is at least up to `end`."""
        assert self.settled, "save() before a copy was done"
        return self._memory.save_sequence(self._stream_of[seq_id], into)

    def lacking(self, seq_id: int, n: int) -> int:
        return 0

    def load(self, seq_id: int, state: ByteArray, n: int, end: int) -> int:
        if not self.settled or n > self.stream_size:
            return self._lengths[seq_id]
        stream = self._stream_of[seq_id]
        restored = self._memory.restore_sequence(stream, state)
        self._lengths[seq_id] = self._memory.length(stream) if restored else 0
        self.trim(seq_id, end)
        return self._lengths[seq_id]

    def check_integrity(self) -> None:
        super().check_integrity()
        assert all(0 <= length <= self.stream_size for length in self._lengths.values())
        assert [self._stream_of[seq_id] for seq_id in self._id_in] == list(range(self.n_seq_max))

    def _holds(self, stream: int) -> bool:
        """Whether the stream's sequence id is allocated."""
        return self._id_in[stream] in self._lengths

    def _move(self, stream: int, free: int) -> None:
        """Move the sequence of a stream to one that is free, which takes its place."""
        moved, other = self._id_in[stream], self._id_in[free]
        if self._lengths[moved]:
            self._memory.copy(stream, free, 0, -1)
            self.settled = False
            self._memory.remove(stream)
        self._id_in[stream], self._id_in[free] = other, moved
        self._stream_of[moved], self._stream_of[other] = free, stream
