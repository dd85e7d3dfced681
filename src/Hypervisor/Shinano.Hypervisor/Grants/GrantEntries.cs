using Shinano.Hypervisor.Hypercalls;
using Shinano.Memory;
using Shinano.SavedState;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Grants;

/// <summary>
/// The shared part of a grant table: frames of entries and, in version 2, of status words. The guest writes all of it at any time. Callers hold the lock of
/// <see cref="GrantTable"/>.
/// </summary>
/// <remarks>
/// <code>
/// version 1   0 flags (16) | 2 domid (16) | 4 frame (32)
/// version 2   0 flags (16) | 2 domid (16) | 4 pad or page_off (16), length (16) | 8 frame (64)      status: 16 bits each, in frames of their own
/// </code>
/// Source: public/grant_table.h: struct grant_entry_v1, union grant_entry_v2, grant_status_t.
/// </remarks>
internal sealed class GrantEntries(GuestMemory memory, IGuestFrames frames, int maximumFrames)
{
    /// <summary>GNTTAB_NR_RESERVED_ENTRIES: kept across a change of version.</summary>
    public const uint Reserved = 8;

    private const int StatusPerFrame = GuestMemory.PageSize / sizeof(ushort);

    private readonly List<Mfn> _frames = [];
    private readonly List<Mfn> _statusFrames = [];

    public int Version { get; private set; } = 1;

    public IReadOnlyList<Mfn> Frames => _frames;

    /// <summary>Status frames; none in version 1.</summary>
    public IReadOnlyList<Mfn> StatusFrames => Version == 2 ? _statusFrames : [];

    /// <summary>Entries of the table in its version.</summary>
    public uint Count => (uint)(_frames.Count * GuestMemory.PageSize / EntrySize(Version));

    /// <summary>Writes version and frames.</summary>
    public void Save(StateWriter writer)
    {
        writer.Mark("GRNT"u8);
        writer.Put((byte)Version);
        writer.PutAll(_frames, (w, frame) => w.Put(frame.Value));
        writer.PutAll(_statusFrames, (w, frame) => w.Put(frame.Value));
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <param name="shared">Tells whether a frame may be a grant table's.</param>
    public void Load(StateReader reader, Func<ulong, bool> shared)
    {
        reader.Expect("GRNT"u8);
        Version = reader.Get<byte>();
        StateReader.Demand(Version is 1 or 2, $"there is no version {Version} of grant tables");
        foreach ((List<Mfn> list, int most) in ((List<Mfn>, int)[])[(_frames, maximumFrames), (_statusFrames, StatusFramesOf(maximumFrames))])
        {
            uint count = reader.GetCount((uint)most);
            for (uint i = 0; i < count; i++)
            {
                ulong frame = reader.Get<ulong>();
                StateReader.Demand(shared(frame), $"frame {frame:x} is none of the grant table's");
                list.Add(new Mfn(frame));
            }
        }

        StateReader.Demand(
            Version == 1 || _statusFrames.Count >= StatusFramesOf(_frames.Count), "the grant table has fewer status words than entries");
    }

    /// <summary>Makes the table at least so long; false when it may not or cannot be.</summary>
    public bool TryGrow(int count)
    {
        if (count > maximumFrames)
        {
            return false;
        }

        while (_frames.Count < count)
        {
            if (!frames.TryAllocateShared(out Mfn frame))
            {
                return false;
            }

            _frames.Add(frame);
        }

        return Version == 1 || TryGrowStatus();
    }

    /// <summary>Flags and domid of an entry in one word, as they are compared and exchanged.</summary>
    public ref uint Header(uint reference) => ref memory.Shared<uint>(AddressOf(reference));

    /// <summary>The word in which use is shown: the flags in version 1, the status word in version 2. Its other bits, or its neighbours', are the guest's.</summary>
    public void ChangeUse(uint reference, GrantFlags set, GrantFlags clear)
    {
        // 16-bit words are reached through the 32-bit ones that hold them: the guest changes the other halves with atomic instructions too.
        ulong address = Version == 1 ? AddressOf(reference) : StatusAddressOf(reference);
        int shift = (int)(address & 2) * 8;
        ref uint word = ref memory.Shared<uint>(address & ~3UL);
        Interlocked.Or(ref word, (uint)set << shift);
        Interlocked.And(ref word, ~((uint)clear << shift));
    }

    /// <summary>The frame an entry names now.</summary>
    public ulong FrameOf(uint reference) => Version == 1
        ? Volatile.Read(ref memory.Shared<uint>(AddressOf(reference) + 4))
        : Volatile.Read(ref memory.Shared<ulong>(AddressOf(reference) + 8));

    /// <summary>The part of the page that a version 2 entry with GTF_sub_page names now.</summary>
    public (int Start, int Length) PartOf(uint reference)
    {
        uint word = Volatile.Read(ref memory.Shared<uint>(AddressOf(reference) + 4));
        return ((ushort)word, (int)(word >> 16));
    }

    /// <summary>Writes a whole entry.</summary>
    public void Write(uint reference, GrantFlags flags, DomainId domain, ulong frame)
    {
        ulong address = AddressOf(reference);
        uint header = (uint)flags | ((uint)domain.Value << 16);
        if (Version == 1)
        {
            memory.TryWriteUInt64(address, header | (frame << 32));
        }
        else
        {
            memory.TryWriteUInt64(address + 8, frame);
            memory.TryWriteUInt64(address, header);
        }
    }

    /// <summary>Exchanges the contents of two entries.</summary>
    public void Swap(uint first, uint second)
    {
        int size = EntrySize(Version);
        Span<byte> a = stackalloc byte[size];
        Span<byte> b = stackalloc byte[size];
        memory.TryRead(AddressOf(first), a);
        memory.TryRead(AddressOf(second), b);
        memory.TryWrite(AddressOf(first), b);
        memory.TryWrite(AddressOf(second), a);
        if (Version == 2)
        {
            ref ushort x = ref memory.Shared<ushort>(StatusAddressOf(first));
            ref ushort y = ref memory.Shared<ushort>(StatusAddressOf(second));
            (x, y) = (y, x);
        }
    }

    /// <summary>Empties the table and goes over to another version; the first entries are kept.</summary>
    /// <returns>0, or a negated <see cref="Errno"/> with nothing changed.</returns>
    public int ChangeVersion(int version)
    {
        Span<uint> headers = stackalloc uint[(int)Reserved];
        Span<ulong> named = stackalloc ulong[(int)Reserved];
        for (uint i = 0; i < Reserved && i < Count; i++)
        {
            uint header = Header(i);
            GrantFlags type = (GrantFlags)header & GrantFlags.TypeMask;
            ulong frame = FrameOf(i);
            if (Version == 2)
            {
                if (type == GrantFlags.Transitive || (type == GrantFlags.PermitAccess && frame >> 32 != 0))
                {
                    return -Errno.Range;
                }

                header |= memory.Shared<ushort>(StatusAddressOf(i));
            }

            bool keeps = Version == 1 || type == GrantFlags.PermitAccess;
            headers[(int)i] = keeps ? header : 0;
            named[(int)i] = keeps ? frame : 0;
        }

        if (version == 2 && !TryGrowStatus())
        {
            return -Errno.NoMemory;
        }

        foreach (Mfn frame in _frames)
        {
            memory.Clear(frame.Value);
        }

        foreach (Mfn frame in _statusFrames)
        {
            memory.Clear(frame.Value);
        }

        Version = version;
        for (uint i = 0; i < Reserved && i < Count; i++)
        {
            GrantFlags flags = (GrantFlags)headers[(int)i];
            GrantFlags use = flags & (GrantFlags.Reading | GrantFlags.Writing);
            Write(i, version == 1 ? flags : flags & ~use, new DomainId((ushort)(headers[(int)i] >> 16)), named[(int)i]);
            if (version == 2)
            {
                ChangeUse(i, use, GrantFlags.None);
            }
        }

        return 0;
    }

    private static int EntrySize(int version) => version == 1 ? 8 : 16;

    /// <summary>Frames of status words for a table of so many frames in version 2.</summary>
    private static int StatusFramesOf(int frames) => ((frames * GuestMemory.PageSize / EntrySize(2)) + StatusPerFrame - 1) / StatusPerFrame;

    private bool TryGrowStatus()
    {
        int wanted = StatusFramesOf(_frames.Count);
        while (_statusFrames.Count < wanted)
        {
            if (!frames.TryAllocateShared(out Mfn frame))
            {
                return false;
            }

            _statusFrames.Add(frame);
        }

        return true;
    }

    private ulong AddressOf(uint reference)
    {
        int size = EntrySize(Version);
        uint perFrame = (uint)(GuestMemory.PageSize / size);
        return _frames[(int)(reference / perFrame)].Address + (reference % perFrame * (uint)size);
    }

    private ulong StatusAddressOf(uint reference) =>
        _statusFrames[(int)(reference / StatusPerFrame)].Address + (reference % StatusPerFrame * sizeof(ushort));
}
