using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator;

/// <summary>
/// The translations of a domain, shared by its vCPUs. Everything happens under the gate of the interpreter's code cache, which also finds the writes to code.
/// </summary>
/// <remarks>
/// Dropped code stays where it is until its region is used again, which waits until every vCPU has left translated code once: a vCPU that is asked for attention leaves
/// at the next block's entry, and forgets its jump cache before it enters anything again.
/// </remarks>
internal sealed class TranslationCache : ICodeDependents, ILinkNumbers, IDisposable
{
    /// <summary>
    /// Blocks known at once. Those without code take no room in a region, and a guest has as many of them as there are linear addresses of an instruction that is
    /// not translated.
    /// </summary>
    private const int MaxBlocks = 1 << 18;

    private const int FirstLinks = 1 << 12;

    private readonly CodeCache _code;
    private readonly CodeRegion[] _regions;
    private readonly BlockScanner _scanner;
    private readonly GuestBlock _block = new();
    private readonly AccessGroups _groups = new();
    private readonly EmittedCode _emitted = new();
    private readonly BlockEmitter _emitter;
    private readonly Dictionary<BlockKey, TranslatedBlock> _blocks = [];
    private readonly Dictionary<ulong, List<TranslatedBlock>> _ofFrame = [];
    private readonly List<TranslatorCpu> _cpus = [];
    private Link?[] _links = new Link?[FirstLinks];
    private int _linkCount;
    private int _region;
    private long _generation;
    private TranslatorCpu _translating = null!;

    public TranslationCache(CodeCache code, CpuFeatures features, int capacity)
    {
        _code = code;
        _regions = [new CodeRegion(capacity / 2), new CodeRegion(capacity / 2)];
        _scanner = new BlockScanner(new InstructionClassifier(features));
        _emitter = new BlockEmitter(_emitted, this);
        code.Dependents = this;
    }

    public PageMappings Mappings { get; } = new();

    /// <summary>Changes whenever code was dropped: jump caches from before are to be forgotten.</summary>
    public long Generation => Volatile.Read(ref _generation);

    public long BlocksTranslated { get; private set; }

    public long InstructionsTranslated { get; private set; }

    /// <summary>Blocks dropped because bytes that they depend on were written.</summary>
    public long BlocksDropped { get; private set; }

    /// <summary>Blocks dropped because a probe in them was set or cleared.</summary>
    public long BlocksDroppedByProbes { get; private set; }

    public long LinksMade { get; private set; }

    public long Flushes { get; private set; }

    /// <summary>Bytes of code that the regions hold, dropped code included until its region is used again.</summary>
    public long BytesUsed => _regions[0].Used + (long)_regions[1].Used;

    /// <summary>Bytes of both regions.</summary>
    public long Capacity => _regions[0].Length + (long)_regions[1].Length;

    /// <summary>Any thread: a vCPU may be created while others run.</summary>
    public void Register(TranslatorCpu cpu)
    {
        lock (_code.Gate)
        {
            _cpus.Add(cpu);
        }
    }

    /// <summary>Finds or makes the translation of an address.</summary>
    /// <returns>Null when there is no room for code now.</returns>
    public unsafe TranslatedBlock? Translate(TranslatorCpu cpu, ulong rip, CodePage* page, TranslationMode mode)
    {
        lock (_code.Gate)
        {
            BlockKey key = new(rip, page->Frame, mode);
            if (_blocks.TryGetValue(key, out TranslatedBlock? known))
            {
                return known;
            }

            if (_blocks.Count == MaxBlocks)
            {
                Flush();
            }

            if (!MakeRoom())
            {
                return null;
            }

            _translating = cpu;
            ulong next = Scan(cpu, rip, page, mode);
            TranslatedBlock made = new()
            {
                Rip = rip,
                Frame = page->Frame,
                Mode = mode,
                Chunks = _block.Chunks,
                NextFrame = _block.Crosses ? next : 0,
                EndRip = _block.EndRip,
                EndsForeign = _block.EndsForeign,
            };
            if (_block.Count != 0)
            {
                if (!mode.IsUngrouped)
                {
                    _groups.Analyse(_block);
                }

                _emitter.Emit(_block);
                if (!Place(made))
                {
                    return null;
                }

                BlocksTranslated++;
                InstructionsTranslated += _block.Count;
            }

            _blocks.Add(key, made);
            AddTo(made.Frame, made);
            if (made.NextFrame != 0 && made.NextFrame != made.Frame)
            {
                AddTo(made.NextFrame, made);
            }

            Mappings.NotePage(rip >> GuestMemory.PageShift);
            return made;
        }
    }

    /// <summary>The link of a number; null when its code was dropped. Any thread, without the gate: the number may stand for another link since then.</summary>
    public Link? LinkOf(int number)
    {
        Link?[] links = Volatile.Read(ref _links);
        return number < links.Length ? Volatile.Read(ref links[number]) : null;
    }

    /// <summary>Makes a link lead to a block.</summary>
    /// <returns>Whether the code behind the link's mapping check may be used on a vCPU that maps the target's page to the block's frame.</returns>
    public bool Connect(Link link, TranslatedBlock target)
    {
        lock (_code.Gate)
        {
            if (target.IsDropped || target.Code == 0 || link.Region != _regions[_region])
            {
                return false;
            }

            ulong frame = link.Mapping switch { -1 => link.SourceFrame, 0 => ulong.MaxValue, int number => Mappings.FrameOf(number) };
            if (frame != target.Frame || link.Mode != target.Mode)
            {
                return false;
            }

            if (link.Block is null)
            {
                link.Region.Patch(link.Field, target.EntryFor(link));
                link.Block = target;
                LinksMade++;
                target.Incoming.Add(link);
            }

            return true;
        }
    }

    /// <inheritdoc/>
    public unsafe ulong Drop(CodePage* page, ulong chunks)
    {
        ulong frame = page->Frame;
        BlocksDropped += Drop(frame, block => (block.ChunksOf(frame) & chunks) != 0, out ulong left);
        return left;
    }

    /// <inheritdoc/>
    public unsafe ulong DropAt(CodePage* page, int offset, bool set)
    {
        // The code of a block lies in one piece. One that ends before the probe's instruction leaves to the interpreter there, which is of no use any more
        // when the probe is cleared.
        const ulong OffsetMask = GuestMemory.PageSize - 1;
        ulong frame = page->Frame;
        bool Contains(TranslatedBlock block) => (ulong)offset - (block.Rip & OffsetMask) < block.EndRip - block.Rip;
        bool EndsAt(TranslatedBlock block) => block.EndsForeign && (block.EndRip & OffsetMask) == (ulong)offset;
        BlocksDroppedByProbes += Drop(frame, block => block.Frame == frame && (set ? Contains(block) : EndsAt(block)), out ulong left);
        return left;
    }

    /// <summary>Drops blocks of a frame.</summary>
    /// <param name="left">The chunks that others depend on.</param>
    /// <returns>How many were dropped.</returns>
    private int Drop(ulong frame, Predicate<TranslatedBlock> which, out ulong left)
    {
        left = 0;
        if (!_ofFrame.TryGetValue(frame, out List<TranslatedBlock>? blocks))
        {
            return 0;
        }

        int dropped = 0;
        for (int i = blocks.Count - 1; i >= 0; i--)
        {
            TranslatedBlock block = blocks[i];
            if (block.IsDropped)
            {
                blocks.RemoveAt(i);
                continue;
            }

            if (!which(block))
            {
                left |= block.ChunksOf(frame);
                continue;
            }

            // The list of the other frame, if there is one, loses it when it is looked through.
            blocks.RemoveAt(i);
            _blocks.Remove(new BlockKey(block.Rip, block.Frame, block.Mode));
            block.IsDropped = true;
            foreach (Link link in block.Incoming)
            {
                link.Region.Patch(link.Field, link.Region.Address(link.Stub));
                link.Block = null;
            }

            dropped++;
        }

        if (dropped != 0)
        {
            AskAll();
        }

        return dropped;
    }

    /// <inheritdoc/>
    int ILinkNumbers.NextLink()
    {
        if (_linkCount == _links.Length)
        {
            Link?[] larger = new Link?[2 * _linkCount];
            _links.CopyTo(larger, 0);
            Volatile.Write(ref _links, larger);
        }

        return _linkCount++;
    }

    /// <inheritdoc/>
    bool ILinkNumbers.TryGetMapping(ulong linear, int context, out int mapping) => TryGetMapping(_translating, linear, context, out _, out mapping);

    public void Dispose()
    {
        foreach (CodeRegion region in _regions)
        {
            region.Dispose();
        }
    }

    /// <summary>Decodes and analyses a block, and sees to it that changes of its bytes are found from now on.</summary>
    /// <returns>The frame of the next linear page, if the block needed it.</returns>
    private unsafe ulong Scan(TranslatorCpu cpu, ulong rip, CodePage* page, TranslationMode mode)
    {
        _code.MarkCode(cpu, page->Frame);
        ReadOnlySpan<byte> bytes = _code.Memory.FrameSpan(page->Frame);
        ReadOnlySpan<byte> nextBytes = default;
        ulong next = 0;
        _scanner.Probes = _code.Probes.Of(page->Frame);
        while (true)
        {
            bytes.CopyTo(_scanner.Page);
            nextBytes.CopyTo(_scanner.NextPage);
            if (_scanner.Scan(_block, rip, mode.Context, mode.AllowsVex, next != 0)
                && TryFindNext(cpu, rip, mode.Context, out next))
            {
                CodePage* nextPage = _code.PageOf(next, page->Mode);
                _code.MarkCode(cpu, next);
                nextPage->Bitmap |= 1;
                nextBytes = _code.Memory.FrameSpan(next)[.._scanner.NextPage.Length];
                continue;
            }

            FlagLiveness.Analyse(_block, _scanner);
            page->Bitmap |= _block.Chunks;
            Interlocked.MemoryBarrier();
            if (HasChunks(bytes, _scanner.Page, _block.Chunks) && (next == 0 || nextBytes.SequenceEqual(_scanner.NextPage)))
            {
                return next;
            }
        }
    }

    /// <summary>Whether some chunks of two pages are equal. Only these, since another vCPU may write data of the page all the time.</summary>
    private static bool HasChunks(ReadOnlySpan<byte> page, ReadOnlySpan<byte> copy, ulong chunks)
    {
        for (; chunks != 0; chunks &= chunks - 1)
        {
            int at = System.Numerics.BitOperations.TrailingZeroCount(chunks) * CodePage.ChunkSize;
            if (!page.Slice(at, CodePage.ChunkSize).SequenceEqual(copy.Slice(at, CodePage.ChunkSize)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The frame behind the page after an address's, and the number of its mapping for the block.</summary>
    private bool TryFindNext(TranslatorCpu cpu, ulong rip, int context, out ulong frame)
    {
        ulong nextPage = (rip | (GuestMemory.PageSize - 1)) + 1;
        bool found = TryGetMapping(cpu, nextPage, context, out frame, out int mapping);
        _block.NextMapping = mapping;
        return found;
    }

    /// <summary>The frame behind a linear address now, and the number of that mapping; 0 and 0 when it is not mapped for fetching, or numbers ran out.</summary>
    private bool TryGetMapping(TranslatorCpu cpu, ulong linear, int context, out ulong frame, out int mapping)
    {
        mapping = 0;
        if (cpu.TryFindFrame(linear, out frame) && Mappings.TryGet(linear >> GuestMemory.PageShift, context, frame, out mapping))
        {
            return true;
        }

        frame = 0;
        return false;
    }

    private void AddTo(ulong frame, TranslatedBlock block)
    {
        if (!_ofFrame.TryGetValue(frame, out List<TranslatedBlock>? blocks))
        {
            _ofFrame.Add(frame, blocks = []);
        }

        blocks.Add(block);
    }

    private bool Place(TranslatedBlock made)
    {
        CodeRegion region = _regions[_region];
        HostAssembler code = _emitted.Assembler;
        if (!region.TryTake(code.HotLength, code.ColdLength, out int hot, out int cold))
        {
            Flush();
            return false;
        }

        code.Finish(region.Writable, hot, cold);
        made.Code = region.Address(hot);
        made.Body = region.Address(code.OffsetOf(_emitted.Body));
        made.Vectors = _emitted.Vectors;

        foreach (EmittedCode.LinkSite site in _emitted.Links)
        {
            Link link = new()
            {
                Target = site.Target,
                Mode = made.Mode with { IsUngrouped = false },
                SourceFrame = made.Frame,
                Mapping = site.Mapping,
                IsForward = site.IsForward,
                Vectors = made.Vectors,
                Field = code.OffsetOf(site.Field),
                Stub = code.OffsetOf(site.Stub),
                Region = region,
            };
            Volatile.Write(ref _links[site.Number], link);
        }

        return true;
    }

    /// <summary>Whether code can be placed: the current region is free of vCPUs from before it was emptied.</summary>
    private bool MakeRoom()
    {
        CodeRegion region = _regions[_region];
        if (region.RetiredAt == 0)
        {
            return true;
        }

        foreach (TranslatorCpu cpu in _cpus)
        {
            // Whoever translates now, too: it goes back to its dispatcher, takes notice, and tries again.
            if (cpu.IsRunning && cpu.SeenGeneration < region.RetiredAt)
            {
                return false;
            }
        }

        region.RetiredAt = 0;
        region.Reset();
        return true;
    }

    /// <summary>Drops all translations and goes on in the other region.</summary>
    private void Flush()
    {
        foreach (TranslatedBlock block in _blocks.Values)
        {
            block.IsDropped = true;
        }

        _blocks.Clear();
        _ofFrame.Clear();
        Volatile.Write(ref _links, new Link?[FirstLinks]);
        _linkCount = 0;
        Mappings.Clear();
        Flushes++;
        AskAll();
        _regions[_region].RetiredAt = _generation;
        _region ^= 1;
    }

    private void AskAll()
    {
        Volatile.Write(ref _generation, _generation + 1);
        foreach (TranslatorCpu cpu in _cpus)
        {
            cpu.AskForAcknowledgement();
        }
    }
}
