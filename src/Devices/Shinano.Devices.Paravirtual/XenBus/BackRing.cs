using System.Runtime.InteropServices;

namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>
/// The back end's side of a request ring in pages that the guest granted. Everything in it is the guest's and hostile: requests are copied before they are
/// looked at, and indices that make no sense stop the ring. One thread takes requests; responses are made under a lock of the caller's.
/// </summary>
/// <remarks>
/// <code>
/// 0 req_prod   4 req_event   8 rsp_prod   12 rsp_event   64 entries, a power of two of them, over page boundaries
/// </code>
/// Source: public/io/ring.h: DEFINE_RING_TYPES, RING_PUSH_RESPONSES_AND_CHECK_NOTIFY, RING_FINAL_CHECK_FOR_REQUESTS.
/// </remarks>
public sealed class BackRing
{
    private const int PageSize = 4096;
    private const int RequestProducer = 0;
    private const int RequestEvent = 4;
    private const int ResponseProducer = 8;
    private const int ResponseEvent = 12;
    private const int Entries = 64;

    private readonly IReadOnlyList<IGrantedPage> _pages;
    private readonly int _entrySize;
    private uint _requestConsumer;
    private uint _responseProducer;

    /// <summary>Attaches to a ring, which need not be empty.</summary>
    /// <param name="pages">Whole pages, mapped for writing, in their order; the caller keeps them mapped.</param>
    /// <param name="entrySize">Bytes of the larger of request and response.</param>
    /// <exception cref="BackEndException">A page is not whole, or the indices make no sense.</exception>
    public BackRing(IReadOnlyList<IGrantedPage> pages, int entrySize)
    {
        ArgumentNullException.ThrowIfNull(pages);
        if (pages.Count == 0 || pages.Any(page => page.Bytes.Length != PageSize || !page.IsWritable))
        {
            throw new BackEndException("a ring takes whole pages, granted for writing");
        }

        _pages = pages;
        _entrySize = entrySize;
        Size = SizeOf(pages.Count, entrySize);
        _requestConsumer = _responseProducer = Load(ResponseProducer);
        if (Load(RequestProducer) - _responseProducer > Size)
        {
            throw new BackEndException("the ring's indices make no sense");
        }
    }

    /// <summary>Entries.</summary>
    public uint Size { get; }

    /// <summary>The guest's index makes no sense: no request is taken any more.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Requests taken and not answered, counting answers that were not pushed.</summary>
    public uint Unanswered => _requestConsumer - Volatile.Read(ref _responseProducer);

    /// <summary>Entries of a ring of so many pages. Source: public/io/ring.h: __RING_SIZE.</summary>
    public static uint SizeOf(int pages, int entrySize) => 1u << (31 - (int)uint.LeadingZeroCount((uint)(((pages * PageSize) - Entries) / entrySize)));

    /// <summary>Whether there is a request to take.</summary>
    public bool HasRequest()
    {
        uint producer = Load(RequestProducer);
        if (producer - Volatile.Read(ref _responseProducer) > Size)
        {
            IsBroken = true;
        }

        return !IsBroken && producer != _requestConsumer && Unanswered < Size;
    }

    /// <summary>Copies the next request out.</summary>
    /// <param name="destination">At most an entry long.</param>
    public bool TryTake(Span<byte> destination)
    {
        if (!HasRequest())
        {
            return false;
        }

        Copy(EntryAt(_requestConsumer), destination, toRing: false);
        _requestConsumer++;
        return true;
    }

    /// <summary>Before waiting: asks for an event at the next request, and looks once more.</summary>
    /// <returns>True when there is a request after all.</returns>
    public bool FinalCheck()
    {
        if (HasRequest())
        {
            return true;
        }

        Store(RequestEvent, _requestConsumer + 1);
        Interlocked.MemoryBarrier();
        return HasRequest();
    }

    /// <summary>Puts an answer on the ring, unseen until <see cref="Push"/>. No more of them than requests were taken.</summary>
    public void Respond(ReadOnlySpan<byte> response)
    {
        Span<byte> copy = stackalloc byte[response.Length];
        response.CopyTo(copy);
        Copy(EntryAt(_responseProducer), copy, toRing: true);
        Volatile.Write(ref _responseProducer, _responseProducer + 1);
    }

    /// <summary>Shows the answers to the guest.</summary>
    /// <returns>Whether the guest wants to be told.</returns>
    public bool Push()
    {
        uint before = Load(ResponseProducer);
        uint after = _responseProducer;
        Store(ResponseProducer, after);
        Interlocked.MemoryBarrier();
        return after - Load(ResponseEvent) < after - before;
    }

    private int EntryAt(uint index) => Entries + ((int)(index & (Size - 1)) * _entrySize);

    private void Copy(int offset, Span<byte> bytes, bool toRing)
    {
        while (!bytes.IsEmpty)
        {
            int inPage = offset % PageSize;
            int count = Math.Min(bytes.Length, PageSize - inPage);
            IGrantedPage page = _pages[offset / PageSize];
            Span<byte> place = page.Bytes.Span.Slice(inPage, count);
            if (toRing)
            {
                bytes[..count].CopyTo(place);
                page.Announce(inPage, count);
            }
            else
            {
                place.CopyTo(bytes);
            }

            bytes = bytes[count..];
            offset += count;
        }
    }

    private uint Load(int offset) => Volatile.Read(ref Index(offset));

    private void Store(int offset, uint value)
    {
        Volatile.Write(ref Index(offset), value);
        _pages[0].Announce(offset, sizeof(uint));
    }

    private ref uint Index(int offset) => ref MemoryMarshal.AsRef<uint>(_pages[0].Bytes.Span.Slice(offset, sizeof(uint)));
}
