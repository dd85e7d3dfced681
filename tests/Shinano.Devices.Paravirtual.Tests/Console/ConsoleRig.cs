using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Devices.Paravirtual.Tests.XenBus;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Linux;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.Console;

/// <summary>A front end of device/console/1, written from public/io/console.h and docs/misc/console.txt, and the back end that it talks to.</summary>
internal sealed class ConsoleRig : IAsyncDisposable
{
    public const uint Ring = 5;
    private const string Front = "/local/domain/3/device/console/1";
    private const string Back = "/local/domain/0/backend/console/3/1";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shinano-console-");

    public ConsoleRig() => Registry = new BackEndRegistry(Store, new DomainId(3), Guest);

    public static CancellationToken Token => TestContext.Current.CancellationToken;

    public FakeGuest Guest { get; } = new();

    public FakeStore Store { get; } = new();

    public BackEndRegistry Registry { get; }

    public string SocketPath => Path.Combine(_directory.FullName, "console.1");

    public string? Error => Store[$"{Back}/error"];

    public Task AttachAsync(bool sendsBacklog = true)
    {
        Publish("state", "1");
        return Registry.AttachAsync(new ConsoleDevice("1", SocketPath, 4096, sendsBacklog), Token);
    }

    /// <summary>As Linux: without waiting for the back end's features, of which there are none.</summary>
    public Task ConnectAsync(string ring = "5", string port = "4", string state = "4")
    {
        Publish("ring-ref", ring);
        Publish("port", port);
        Publish("state", "3");
        return UntilAsync(state);
    }

    public void Publish(string node, string? value) => Store[$"{Front}/{node}"] = value;

    public Task UntilAsync(string state) => Store.UntilAsync($"{Back}/state", state, Token);

    public long Counted(string name) => Registry.List().Single().Counters.Single(counter => counter.Name == name).Value;

    /// <summary>Puts text on the guest's ring; there is room.</summary>
    public void Say(string text, uint ring = Ring)
    {
        Span<byte> page = Guest.Page(ring);
        uint producer = BinaryPrimitives.ReadUInt32LittleEndian(page[3084..]);
        foreach (byte one in Encoding.ASCII.GetBytes(text))
        {
            page[1024 + (int)(producer++ % 2048)] = one;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(page[3084..], producer);
        Guest.Send!();
    }

    /// <summary>Takes input until there are so many bytes of it, or more.</summary>
    public async Task<string> HearAsync(int count)
    {
        StringBuilder heard = new();
        while (heard.Length < count)
        {
            await Guest.Notified.WaitAsync(Token);
            Span<byte> page = Guest.Page(Ring);
            uint consumer = BinaryPrimitives.ReadUInt32LittleEndian(page[3072..]);
            for (; consumer != BinaryPrimitives.ReadUInt32LittleEndian(page[3076..]); consumer++)
            {
                heard.Append((char)page[(int)(consumer % 1024)]);
            }

            BinaryPrimitives.WriteUInt32LittleEndian(page[3072..], consumer);
            Guest.Send!();
        }

        return heard.ToString();
    }

    public async Task<Socket> ViewAsync()
    {
        Socket viewer = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await viewer.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), Token);
        return viewer;
    }

    public static async Task<string> ReadAsync(Socket viewer, int count)
    {
        byte[] bytes = new byte[count];
        for (int filled = 0; filled < count;)
        {
            int read = await viewer.ReceiveAsync(bytes.AsMemory(filled), Token);
            Assert.NotEqual(0, read);
            filled += read;
        }

        return Encoding.ASCII.GetString(bytes);
    }

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        Assert.Equal((0, 0), (Guest.Mapped, Guest.Ports));
        Assert.NotEqual(FileKind.Socket, FileStorage.GetKind(SocketPath));
        Guest.Dispose();
        _directory.Delete(recursive: true);
    }
}
