using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Memory;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.XenBus;

/// <summary>A guest of a few pages. Grant references are page numbers; those from <see cref="ReadOnlyFrom"/> on are granted for reading only.</summary>
internal sealed class FakeGuest : IFrontEndDomain, IDisposable
{
    public const uint ReadOnlyFrom = 48;

    public const ulong FirstFrame = 0x200;
    private const uint Pages = 64;

    private int _mapped;
    private int _ports;
    private int _notifications;

    public FakeGuest() => Memory.AddRam(FirstFrame, Pages);

    public GuestMemory Memory { get; } = new(FirstFrame, Pages);

    /// <summary>Pages that are mapped now.</summary>
    public int Mapped => Volatile.Read(ref _mapped);

    /// <summary>Ports that are bound now.</summary>
    public int Ports => Volatile.Read(ref _ports);

    public int Notifications => Volatile.Read(ref _notifications);

    /// <summary>Completed and replaced at each notification.</summary>
    public SemaphoreSlim Notified { get; } = new(0);

    public Action? Send { get; private set; }

    public List<string> Messages { get; } = [];

    public Span<byte> Page(uint reference) => Memory.FrameSpan(FirstFrame + reference);

    public IGrantedPage? TryMap(GrantRef reference, bool writable) =>
        reference.Value >= Pages || (writable && reference.Value >= ReadOnlyFrom) ? null : new MappedPage(this, FirstFrame + reference.Value, writable);

    /// <summary>Frames are numbered as they are; those of the last pages are page tables.</summary>
    public IGrantedPage? TryMapFrame(ulong frame, bool writable) =>
        frame is < FirstFrame or >= FirstFrame + Pages || (writable && frame >= FirstFrame + ReadOnlyFrom) ? null : new MappedPage(this, frame, writable);

    public IFrontEndPort? TryBind(EventPort port, Action onNotify)
    {
        if (port.Value is 0 or > 8)
        {
            return null;
        }

        Send = onNotify;
        Interlocked.Increment(ref _ports);
        return new BoundPort(this);
    }

    public void Log(string message)
    {
        lock (Messages)
        {
            Messages.Add(message);
        }
    }

    public void Dispose()
    {
        Memory.Dispose();
        Notified.Dispose();
    }

    private sealed class MappedPage : IGrantedPage
    {
        private readonly FakeGuest _guest;
        private readonly Memory<byte> _bytes;
        private int _disposed;

        public MappedPage(FakeGuest guest, ulong frame, bool writable)
        {
            _guest = guest;
            _bytes = guest.Memory.FrameMemory(frame);
            IsWritable = writable;
            Interlocked.Increment(ref guest._mapped);
        }

        public bool IsWritable { get; }

        public Memory<byte> Bytes => Volatile.Read(ref _disposed) == 0 ? _bytes : throw new InvalidOperationException("a page was used after it was unmapped");

        public void Announce(int offset, int length) => Assert.True(IsWritable && Volatile.Read(ref _disposed) == 0, "a write to a page that may not be written");

        public void Dispose()
        {
            Assert.Equal(0, Interlocked.Exchange(ref _disposed, 1));
            Interlocked.Decrement(ref _guest._mapped);
        }
    }

    private sealed class BoundPort(FakeGuest guest) : IFrontEndPort
    {
        public void Notify()
        {
            Interlocked.Increment(ref guest._notifications);
            guest.Notified.Release();
        }

        public void Dispose() => Interlocked.Decrement(ref guest._ports);
    }
}
