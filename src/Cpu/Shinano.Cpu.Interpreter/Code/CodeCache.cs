using System.Runtime.InteropServices;
using Shinano.Memory;

namespace Shinano.Cpu.Interpreter;

/// <summary>
/// Decoded code of a domain, by frame, offset and mode; shared by the vCPUs. Finds self-modification exactly: a frame with code has no write
/// translations, so each write to it comes here. The protocol between vCPUs is described in docs/design/interpreter.md.
/// </summary>
internal sealed unsafe class CodeCache : ICodeWatcher, IDisposable
{
    private const int SegmentSize = 8192;
    private const int DeadLimit = 256 * 1024;
    private const int FirstColdWriteLimit = 64;

    private readonly BlockDecoder _decoder;
    private readonly ulong* _emptyChunk;
    private readonly nint* _pages;
    private readonly byte* _writable;
    private readonly List<InterpreterCpu> _cpus = [];
    private readonly RetiredCode _retired = new();
    private long _bytes;
    private bool _disposed;

    /// <param name="capacity">Bytes of decoded ops at which everything is dropped and decoded anew.</param>
    public CodeCache(GuestMemory memory, OpSelector selector, long capacity)
    {
        Memory = memory;
        _decoder = new BlockDecoder(selector);
        Capacity = capacity;
        Probes = new ProbeTable(this);

        // SAFETY: cleared tables with one element per frame of the window; indexed only after the index was checked against FrameCount.
        _pages = (nint*)NativeMemory.AllocZeroed((nuint)memory.FrameCount, (nuint)sizeof(nint));
        _writable = (byte*)NativeMemory.AllocZeroed((nuint)memory.FrameCount);
        _emptyChunk = (ulong*)NativeMemory.AllocZeroed(CodePage.ChunkSize, sizeof(ulong));
    }

    public GuestMemory Memory { get; }

    /// <summary>Held while decoded or translated code changes.</summary>
    public Lock Gate { get; } = new();

    /// <summary>What else depends on the code; set before the first vCPU runs.</summary>
    public ICodeDependents? Dependents { get; set; }

    public long BlocksDecoded { get; private set; }

    public long InstructionsDecoded { get; private set; }

    /// <summary>Blocks dropped because their bytes were written.</summary>
    public long BlocksInvalidated { get; private set; }

    /// <summary>Blocks dropped because a probe in them was set or cleared.</summary>
    public long BlocksDroppedByProbes { get; private set; }

    public long Flushes { get; private set; }

    /// <summary>Bytes of memory that decoded blocks hold.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Bytes at which everything is dropped and decoded anew.</summary>
    public long Capacity { get; }

    /// <summary>The probes in the domain's code.</summary>
    public ProbeTable Probes { get; }

    public void Register(InterpreterCpu cpu)
    {
        lock (Gate)
        {
            _cpus.Add(cpu);
        }
    }

    /// <summary>Called before a write translation of a frame is entered into a look-aside table.</summary>
    /// <returns>False when the frame holds code: the translation must not be entered.</returns>
    public bool NoteWritable(ulong frame)
    {
        ulong index = frame - Memory.FirstFrame;
        if (_writable[index] == 0)
        {
            Volatile.Write(ref _writable[index], 1);
        }

        // Pairs with the interlocked setting of the Code flag in MarkCode: either that sees our note, or we see the flag.
        Interlocked.MemoryBarrier();
        return (Memory.FlagsOf(frame) & FrameFlags.Code) == 0;
    }

    /// <summary>The page of decoded code for a frame of RAM; lives as long as the engine.</summary>
    public CodePage* PageOf(ulong frame, CodeMode mode)
    {
        ulong index = frame - Memory.FirstFrame;
        for (CodePage* page = (CodePage*)Volatile.Read(ref _pages[index]); page is not null; page = page->OtherMode)
        {
            if (page->Mode == mode)
            {
                return page;
            }
        }

        lock (Gate)
        {
            CodePage* first = (CodePage*)_pages[index];
            for (CodePage* page = first; page is not null; page = page->OtherMode)
            {
                if (page->Mode == mode)
                {
                    return page;
                }
            }

            CodePage* made = (CodePage*)NativeMemory.AllocZeroed((nuint)sizeof(CodePage));
            made->Frame = frame;
            made->Mode = mode;
            made->OtherMode = first;
            made->ColdWriteLimit = FirstColdWriteLimit;
            for (int i = 0; i < CodePage.ChunkCount; i++)
            {
                made->Chunks[i] = (ulong)_emptyChunk;
            }

            Volatile.Write(ref _pages[index], (nint)made);
            return made;
        }
    }

    /// <summary>Finds or decodes the block at an offset.</summary>
    public Op* Decode(InterpreterCpu cpu, CodePage* page, int offset)
    {
        lock (Gate)
        {
            Op* known = CodePage.Find(page, (ulong)offset);
            if (known is not null)
            {
                return known;
            }

            if (_bytes > Capacity)
            {
                RetireEverything();
            }

            MarkCode(cpu, page->Frame);
            byte* code = Memory.HostBase + ((page->Frame - Memory.FirstFrame) << GuestMemory.PageShift);
            while (true)
            {
                ReadOnlySpan<byte> bytes = new(code + offset, GuestMemory.PageSize - offset);
                int count = _decoder.Decode(bytes, offset, page->Mode, false, Probes.Of(page->Frame), out int end);
                page->Bitmap |= CodePage.ChunkMask(offset, end);
                Interlocked.MemoryBarrier();

                // A write between the decoder's copy and the chunk bits would go unnoticed: compare after the bits are visible.
                if (_decoder.Input[..(end - offset)].SequenceEqual(new ReadOnlySpan<byte>(code + offset, end - offset)))
                {
                    return Publish(page, offset, end, _decoder.Output[..count]);
                }
            }
        }
    }

    /// <inheritdoc/>
    public void CodeWritten(ulong physical, int length)
    {
        ulong index = (physical >> GuestMemory.PageShift) - Memory.FirstFrame;
        if (index >= Memory.FrameCount || length <= 0)
        {
            return;
        }

        Interlocked.MemoryBarrier();
        int start = (int)(physical & (GuestMemory.PageSize - 1));
        int end = Math.Min(start + length, GuestMemory.PageSize);
        for (CodePage* page = (CodePage*)Volatile.Read(ref _pages[index]); page is not null; page = page->OtherMode)
        {
            bool hit = (Volatile.Read(ref page->Bitmap) & CodePage.ChunkMask(start, end)) != 0;
            if (hit || ++page->ColdWrites > page->ColdWriteLimit)
            {
                lock (Gate)
                {
                    if (!_disposed)
                    {
                        Invalidate(page, start, end);
                    }
                }
            }
        }
    }

    /// <summary>Owner's thread, at a block boundary: drops write translations that became forbidden and acknowledges retired code.</summary>
    public void Acknowledge(InterpreterCpu cpu)
    {
        List<WriteRevocation>? revoked;
        lock (Gate)
        {
            revoked = cpu.TakeRevocations();
            cpu.SeenEpoch = _retired.Epoch;
            _retired.Free(_cpus);
        }

        if (revoked is null)
        {
            return;
        }

        foreach (WriteRevocation one in revoked)
        {
            cpu.DropWriteTranslations(one.Frame);
        }

        foreach (WriteRevocation one in revoked)
        {
            ulong physical = one.Frame << GuestMemory.PageShift;
            if (Memory.TryGetHost(physical, GuestMemory.PageSize, out byte* host)
                && !new ReadOnlySpan<byte>(host, GuestMemory.PageSize).SequenceEqual(one.Snapshot))
            {
                CodeWritten(physical, GuestMemory.PageSize);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (Gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            foreach (InterpreterCpu cpu in _cpus)
            {
                cpu.SeenEpoch = long.MaxValue;
            }

            RetireEverything();
            for (ulong i = 0; i < Memory.FrameCount; i++)
            {
                for (CodePage* page = (CodePage*)_pages[i]; page is not null;)
                {
                    CodePage* next = page->OtherMode;
                    for (int chunk = 0; chunk < CodePage.ChunkCount; chunk++)
                    {
                        if (page->Chunks[chunk] != (ulong)_emptyChunk)
                        {
                            NativeMemory.Free((void*)page->Chunks[chunk]);
                        }
                    }

                    NativeMemory.Free(page);
                    page = next;
                }
            }

            NativeMemory.Free(_pages);
            NativeMemory.Free(_writable);
            NativeMemory.Free(_emptyChunk);
        }
    }

    /// <summary>Gate held, the probe just changed. Drops what was decoded of its address.</summary>
    public void DropAt(ulong physical, bool set)
    {
        if (_disposed)
        {
            return;
        }

        int offset = (int)(physical & (GuestMemory.PageSize - 1));
        ulong index = (physical >> GuestMemory.PageShift) - Memory.FirstFrame;
        for (CodePage* page = (CodePage*)_pages[index]; page is not null; page = page->OtherMode)
        {
            BlocksDroppedByProbes += Drop(page, offset, offset + 1, out ulong left);
            SetBitmap(page, left | (Dependents?.DropAt(page, offset, set) ?? 0));
        }
    }

    /// <summary>Gate held. Makes a frame a code frame and sees to it that no vCPU goes on writing to it unseen.</summary>
    public void MarkCode(InterpreterCpu cpu, ulong frame)
    {
        if ((Memory.FlagsOf(frame) & FrameFlags.Code) != 0)
        {
            return;
        }

        Memory.ChangeFlags(frame, FrameFlags.Code, FrameFlags.None);
        ref byte writable = ref _writable[frame - Memory.FirstFrame];
        if (Volatile.Read(ref writable) == 0)
        {
            return;
        }

        writable = 0;
        cpu.DropWriteTranslations(frame);
        WriteRevocation? revocation = null;
        foreach (InterpreterCpu other in _cpus)
        {
            if (other != cpu)
            {
                // The attention bit is set before the snapshot is taken, so that a write after the snapshot is followed by an acknowledgement.
                revocation ??= new WriteRevocation(frame, new byte[GuestMemory.PageSize]);
                other.Revoke(revocation);
            }
        }

        if (revocation is not null)
        {
            Interlocked.MemoryBarrier();
            Memory.FrameSpan(frame).CopyTo(revocation.Snapshot);
        }
    }

    /// <summary>Gate held.</summary>
    private Op* Publish(CodePage* page, int offset, int end, ReadOnlySpan<Op> ops)
    {
        int opBytes = ops.Length * sizeof(Op);
        CodeBlock* block = (CodeBlock*)Allocate(page, sizeof(CodeBlock) + opBytes);
        block->Ops = (Op*)(block + 1);
        block->Count = ops.Length;
        block->Start = (ushort)offset;
        block->End = (ushort)end;
        block->Next = page->Blocks;
        page->Blocks = block;
        ops.CopyTo(new Span<Op>(block->Ops, ops.Length));
        page->ColdWrites = 0;
        BlocksDecoded++;
        InstructionsDecoded += ops[^1].Length == 0 ? ops.Length - 1 : ops.Length;

        int chunk = offset / CodePage.ChunkSize;
        ulong* entries = (ulong*)page->Chunks[chunk];
        if (entries == _emptyChunk)
        {
            entries = (ulong*)NativeMemory.AllocZeroed(CodePage.ChunkSize, sizeof(ulong));
            Volatile.Write(ref page->Chunks[chunk], (ulong)entries);
        }

        Volatile.Write(ref entries[offset % CodePage.ChunkSize], (ulong)block->Ops);
        return block->Ops;
    }

    private byte* Allocate(CodePage* page, int bytes)
    {
        bytes = (bytes + 15) & ~15;
        if (page->FreeBytes < bytes)
        {
            int size = Math.Max(SegmentSize, bytes + 16);
            byte* segment = (byte*)NativeMemory.Alloc((nuint)size);
            *(byte**)segment = page->Segments;
            *(long*)(segment + 8) = size;
            page->Segments = segment;
            page->FreeStart = segment + 16;
            page->FreeBytes = size - 16;
            _bytes += size;
        }

        byte* start = page->FreeStart;
        page->FreeStart += bytes;
        page->FreeBytes -= bytes;
        return start;
    }

    /// <summary>Gate held. Drops the blocks that overlap [start, end), or all when too many writes missed them.</summary>
    private void Invalidate(CodePage* page, int start, int end)
    {
        bool all = page->ColdWrites > page->ColdWriteLimit;
        if (all)
        {
            // Doubling bounds the decoding that a page of hot data beside hot code can cause.
            page->ColdWriteLimit = Math.Min(page->ColdWriteLimit * 2, 1 << 24);
            page->ColdWrites = 0;
        }

        BlocksInvalidated += all ? Drop(page, 0, GuestMemory.PageSize, out ulong left) : Drop(page, start, end, out left);
        SetBitmap(page, left | DropDependents(page, all ? ulong.MaxValue : CodePage.ChunkMask(start, end)));
    }

    /// <summary>Gate held. Drops the blocks that overlap [start, end).</summary>
    /// <param name="left">The chunks of the other ones.</param>
    /// <returns>How many were dropped.</returns>
    private int Drop(CodePage* page, int start, int end, out ulong left)
    {
        int dropped = 0;
        left = 0;
        CodeBlock** link = &page->Blocks;
        while (*link is not null)
        {
            CodeBlock* block = *link;
            if (block->Start >= end || block->End <= start)
            {
                left |= CodePage.ChunkMask(block->Start, block->End);
                link = &block->Next;
                continue;
            }

            *link = block->Next;
            Kill(page, block);
            dropped++;
        }

        return dropped;
    }

    private void SetBitmap(CodePage* page, ulong chunks)
    {
        page->Bitmap = chunks;
        if (chunks == 0)
        {
            ClearCodeFlag(page->Frame);
        }

        if (page->DeadBytes > DeadLimit)
        {
            Retire(page);
        }
    }

    /// <summary>Gate held. Nobody enters the block any more, and who is inside leaves at its next instruction.</summary>
    private void Kill(CodePage* page, CodeBlock* block)
    {
        Volatile.Write(ref ((ulong*)page->Chunks[block->Start / CodePage.ChunkSize])[block->Start % CodePage.ChunkSize], 0);
        for (int i = 0; i < block->Count; i++)
        {
            block->Ops[i].Handler = &FlowHandlers.Stale;
        }

        page->DeadBytes += sizeof(CodeBlock) + (block->Count * sizeof(Op));
    }

    private ulong DropDependents(CodePage* page, ulong chunks) => Dependents is null ? 0 : Dependents.Drop(page, chunks);

    private void ClearCodeFlag(ulong frame)
    {
        for (CodePage* page = (CodePage*)_pages[frame - Memory.FirstFrame]; page is not null; page = page->OtherMode)
        {
            if (page->Bitmap != 0)
            {
                return;
            }
        }

        Memory.ChangeFlags(frame, FrameFlags.None, FrameFlags.Code);
    }

    /// <summary>Gate held. Drops all blocks of a page and gives their memory back once no vCPU can be inside.</summary>
    private void Retire(CodePage* page)
    {
        for (CodeBlock* block = page->Blocks; block is not null; block = block->Next)
        {
            Kill(page, block);
        }

        // What was translated stays: it has memory of its own.
        page->Blocks = null;
        page->Bitmap = DropDependents(page, 0);
        page->DeadBytes = 0;
        ClearCodeFlag(page->Frame);
        if (page->Segments is not null)
        {
            _retired.Add(page->Segments);
            for (byte* segment = page->Segments; segment is not null; segment = *(byte**)segment)
            {
                _bytes -= *(long*)(segment + 8);
            }

            page->Segments = null;
            page->FreeBytes = 0;
            foreach (InterpreterCpu cpu in _cpus)
            {
                cpu.AskForAcknowledgement();
            }

            _retired.Free(_cpus);
        }
    }

    private void RetireEverything()
    {
        Flushes++;
        for (ulong i = 0; i < Memory.FrameCount; i++)
        {
            for (CodePage* page = (CodePage*)_pages[i]; page is not null; page = page->OtherMode)
            {
                Retire(page);
            }
        }
    }
}
