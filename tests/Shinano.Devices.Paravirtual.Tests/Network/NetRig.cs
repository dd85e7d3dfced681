using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Shinano.Devices.Paravirtual.Network;
using Shinano.Devices.Paravirtual.Tests.XenBus;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.Network;

/// <summary>An interface attached to a fake guest, whose rings are pages 0 (transmit) and 1 (receive), with the test as front end and as switch.</summary>
internal sealed class NetRig : IAsyncDisposable
{
    public const string Front = "/local/domain/5/device/vif/0";
    public const string Back = "/local/domain/0/backend/vif/5/0";
    public const int RingSize = 256;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shi-net");
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly byte[] _received = new byte[1 << 20];
    private int _filled;
    private Socket? _switch;
    private uint _sent;
    private uint _answered;
    private uint _posted;
    private uint _taken;

    private NetRig()
    {
        string path = Path.Combine(_directory.FullName, "links");
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        Registry = new BackEndRegistry(Store, new DomainId(5), Guest);
        Device = new NetBackEnd(new NetSettings { Id = "0", LinkPath = path, Token = new string('7', 64) });
    }

    public FakeGuest Guest { get; } = new();

    public FakeStore Store { get; } = new();

    public BackEndRegistry Registry { get; }

    public NetBackEnd Device { get; }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<NetRig> CreateAsync(params string[] features)
    {
        NetRig rig = new();
        rig.Store[$"{Front}/state"] = "1";
        await rig.Registry.AttachAsync(rig.Device, Cancellation);
        await rig.ConnectAsync(features);
        return rig;
    }

    /// <summary>Connects front end and switch, again when they were before.</summary>
    public async Task ConnectAsync(params string[] features)
    {
        Guest.Page(0).Clear();
        Guest.Page(1).Clear();
        (_sent, _answered, _posted, _taken, _filled) = (0, 0, 0, 0, 0);
        Store[$"{Front}/tx-ring-ref"] = "0";
        Store[$"{Front}/rx-ring-ref"] = "1";
        Store[$"{Front}/event-channel"] = "3";
        Store[$"{Front}/request-rx-copy"] = "1";
        foreach (string feature in features)
        {
            Store[$"{Front}/{feature}"] = "1";
        }

        Store[$"{Front}/state"] = "4";
        await Store.UntilAsync($"{Back}/state", "4", Cancellation);
        _switch?.Dispose();
        _switch = await _listener.AcceptAsync(Cancellation);
        byte[] hello = new byte[LinkHello.Size];
        Assert.True(await _switch.ReceiveAllAsync(hello, Cancellation));
        Assert.Equal(new string('7', 64), LinkHello.Read(hello));
        await _switch.SendAllAsync(LinkHello.Magic.ToArray(), Cancellation);
        while (Counter("link") == 0)
        {
            // The link notes it a moment after the answer has come.
            await Task.Yield();
        }
    }

    public long Counter(string name) => Device.ReadCounters().Single(counter => counter.Name == name).Value;

    /// <summary>A word of a ring's head: 0 requests produced, 4 request event, 8 responses produced, 12 response event.</summary>
    public ref uint Word(uint ring, int offset) => ref MemoryMarshal.AsRef<uint>(Guest.Page(ring).Slice(offset, 4));

    public static byte[] Request(uint reference, int offset, int flags, int id, int size)
    {
        byte[] entry = new byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, reference);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(4), (ushort)offset);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(6), (ushort)flags);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(8), (ushort)id);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(10), (ushort)size);
        return entry;
    }

    public static byte[] GsoExtra(ushort size, byte kind, byte flags = 0)
    {
        byte[] entry = new byte[12];
        entry[0] = 1;
        entry[1] = flags;
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), size);
        entry[4] = kind;
        return entry;
    }

    public static byte[] MulticastExtra(byte type, MacAddress address)
    {
        byte[] entry = new byte[12];
        entry[0] = type;
        address.Write(entry.AsSpan(2));
        return entry;
    }

    /// <summary>Puts slots on the transmit ring, all at once.</summary>
    public void Transmit(params byte[][] slots)
    {
        foreach (byte[] slot in slots)
        {
            slot.CopyTo(Guest.Page(0)[(64 + ((int)(_sent++ % RingSize) * 12))..]);
        }

        Volatile.Write(ref Word(0, 12), _answered + 1);
        Volatile.Write(ref Word(0, 0), _sent);
        Guest.Send!();
    }

    /// <summary>Waits for answers of the transmit ring: id and status.</summary>
    public async Task<(ushort Id, short Status)[]> AnswersAsync(int count)
    {
        while (Volatile.Read(ref Word(0, 8)) - _answered < count)
        {
            Volatile.Write(ref Word(0, 12), _answered + (uint)count);
            if (Volatile.Read(ref Word(0, 8)) - _answered < count)
            {
                await Guest.Notified.WaitAsync(Cancellation);
            }
        }

        return [.. Enumerable.Range(0, count).Select(_ => TakeAnswer())];
    }

    /// <summary>Posts receive buffers: pages from 8 on, one after the other.</summary>
    public void Post(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Span<byte> entry = Guest.Page(1).Slice(64 + ((int)(_posted % RingSize) * 8), 8);
            BinaryPrimitives.WriteUInt16LittleEndian(entry, (ushort)_posted);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], 8 + (_posted % 32));
            _posted++;
        }

        Volatile.Write(ref Word(1, 12), _taken + 1);
        Volatile.Write(ref Word(1, 0), _posted);
        Guest.Send!();
    }

    /// <summary>Waits for receive responses; each with its page when it is no error.</summary>
    public async Task<(int Flags, int Status, byte[] Entry, byte[] Page)[]> ReceivedAsync(int count)
    {
        while (Volatile.Read(ref Word(1, 8)) - _taken < count)
        {
            Volatile.Write(ref Word(1, 12), _taken + (uint)count);
            if (Volatile.Read(ref Word(1, 8)) - _taken < count)
            {
                await Guest.Notified.WaitAsync(Cancellation);
            }
        }

        return [.. Enumerable.Range(0, count).Select(_ => TakeReceived())];
    }

    /// <summary>A frame of the switch's.</summary>
    public async Task SendAsync(byte[] frame, FrameOffload offload = default)
    {
        byte[] header = new byte[LinkFormat.HeaderSize];
        LinkFormat.WriteHeader(header, frame.Length, offload);
        await _switch!.SendAllAsync(new byte[][] { header, frame }.SelectMany(part => part).ToArray(), Cancellation);
    }

    /// <summary>The next frame that reaches the switch.</summary>
    public async Task<(byte[] Frame, FrameOffload Offload)> HearAsync()
    {
        while (true)
        {
            if (TryHear() is { } heard)
            {
                return heard;
            }

            int count = await _switch!.ReceiveAsync(_received.AsMemory(_filled), SocketFlags.None, Cancellation);
            Assert.NotEqual(0, count);
            _filled += count;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        Assert.Equal((0, 0), (Guest.Mapped, Guest.Ports));
        _switch?.Dispose();
        _listener.Dispose();
        Guest.Dispose();
        _directory.Delete(recursive: true);
    }

    private (byte[] Frame, FrameOffload Offload)? TryHear()
    {
        ReadOnlySpan<byte> rest = _received.AsSpan(0, _filled);
        if (LinkFormat.TryRead(ref rest, out ReadOnlySpan<byte> frame, out FrameOffload offload) != LinkReadStatus.Frame)
        {
            return null;
        }

        byte[] copy = frame.ToArray();
        rest.ToArray().CopyTo(_received, 0);
        _filled = rest.Length;
        return (copy, offload);
    }

    private (ushort Id, short Status) TakeAnswer()
    {
        Span<byte> entry = Guest.Page(0).Slice(64 + ((int)(_answered++ % RingSize) * 12), 4);
        return (BinaryPrimitives.ReadUInt16LittleEndian(entry), BinaryPrimitives.ReadInt16LittleEndian(entry[2..]));
    }

    private (int Flags, int Status, byte[] Entry, byte[] Page) TakeReceived()
    {
        byte[] entry = Guest.Page(1).Slice(64 + ((int)(_taken % RingSize) * 8), 8).ToArray();
        byte[] page = Guest.Page(8 + (_taken % 32)).ToArray();
        _taken++;
        return (BinaryPrimitives.ReadUInt16LittleEndian(entry.AsSpan(4)), BinaryPrimitives.ReadInt16LittleEndian(entry.AsSpan(6)), entry, page);
    }
}
