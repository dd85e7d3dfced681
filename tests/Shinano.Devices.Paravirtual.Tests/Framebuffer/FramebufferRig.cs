using System.Buffers.Binary;
using System.Globalization;
using Shinano.Devices.Paravirtual.Framebuffer;
using Shinano.Devices.Paravirtual.Tests.XenBus;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.Framebuffer;

/// <summary>A front end of public/io/fbif.h and kbdif.h, written from the headers: page 1 is the framebuffer's shared page, 2 its directory, 3 on its pixels, 40 the keyboard's.</summary>
internal sealed class FramebufferRig : IAsyncDisposable
{
    public const int Width = 64;
    public const int Height = 100;
    public const int Stride = Width * 4;
    public const int SharedPage = 1;
    public const int DirectoryPage = 2;
    public const int FirstPixels = 3;
    public const int KeyboardPage = 40;
    public const int Memory = 7 * 4096;
    private const string Front = "/local/domain/3/device";
    private const string Back = "/local/domain/0/backend";

    private readonly BackEndRegistry _registry;

    public FramebufferRig()
    {
        Surface = new FramebufferSurface();
        Input = new InputRelay(Surface);
        _registry = new BackEndRegistry(Store, new DomainId(3), Guest);
        WriteHead(Width, Height, Stride, Memory, 32);
        for (int i = 0; i < Memory / 4096; i++)
        {
            WriteDirectory(i, FakeGuest.FirstFrame + FirstPixels + (ulong)i);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(Guest.Page(SharedPage)[40..], FakeGuest.FirstFrame + DirectoryPage);
    }

    public static CancellationToken Token => TestContext.Current.CancellationToken;

    public FakeGuest Guest { get; } = new();

    public FakeStore Store { get; } = new();

    public FramebufferSurface Surface { get; }

    public InputRelay Input { get; }

    public Span<byte> Shared => Guest.Page(SharedPage);

    public void WriteHead(int width, int height, int stride, int memory, byte depth)
    {
        BinaryPrimitives.WriteInt32LittleEndian(Shared[16..], width);
        BinaryPrimitives.WriteInt32LittleEndian(Shared[20..], height);
        BinaryPrimitives.WriteInt32LittleEndian(Shared[24..], stride);
        BinaryPrimitives.WriteInt32LittleEndian(Shared[28..], memory);
        Shared[32] = depth;
    }

    public void WriteDirectory(int index, ulong frame) => BinaryPrimitives.WriteUInt64LittleEndian(Guest.Page(DirectoryPage)[(8 * index)..], frame);

    /// <summary>Attaches the framebuffer; its front end publishes what it has.</summary>
    public async Task StartAsync(string state, ulong? page = null)
    {
        Publish("vfb", "state", "1");
        await _registry.AttachAsync(new FramebufferBackEnd("0", Surface), Token);
        Publish("vfb", "page-ref", (page ?? (FakeGuest.FirstFrame + SharedPage)).ToString(CultureInfo.InvariantCulture));
        Publish("vfb", "event-channel", "4");
        Publish("vfb", "feature-update", "1");
        Publish("vfb", "state", "3");
        await Store.UntilAsync($"{Back}/vfb/3/0/state", state, Token);
    }

    public async Task StartKeyboardAsync(bool absolute)
    {
        Publish("vkbd", "state", "1");
        await _registry.AttachAsync(new KeyboardBackEnd("0", Input), Token);
        Publish("vkbd", "page-gref", KeyboardPage.ToString(CultureInfo.InvariantCulture));
        Publish("vkbd", "event-channel", "5");
        Publish("vkbd", "request-abs-pointer", absolute ? "1" : "0");
        Publish("vkbd", "state", "3");
        await Store.UntilAsync($"{Back}/vkbd/3/0/state", "4", Token);
    }

    public void Publish(string kind, string node, string value) => Store[$"{Front}/{kind}/0/{node}"] = value;

    public string? Error(string kind) => Store[$"{Back}/{kind}/3/0/error"];

    public string? State(string kind) => Store[$"{Back}/{kind}/3/0/state"];

    public Task UntilAsync(string kind, string state) => Store.UntilAsync($"{Back}/{kind}/3/0/state", state, Token);

    /// <summary>Puts an event of the guest on the framebuffer's ring: 51 of 40 bytes from 2048 on.</summary>
    public void Put(byte type, params int[] numbers)
    {
        uint producer = BinaryPrimitives.ReadUInt32LittleEndian(Shared[12..]);
        Span<byte> @event = Shared.Slice(2048 + ((int)(producer % 51) * 40), 40);
        @event.Clear();
        @event[0] = type;
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(@event[(4 + (4 * i))..], numbers[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(Shared[12..], producer + 1);
    }

    /// <summary>Takes the keyboard's events: 51 of 40 bytes from 1024 on.</summary>
    public List<int[]> TakeKeyboard()
    {
        Span<byte> page = Guest.Page(KeyboardPage);
        List<int[]> events = [];
        uint consumer = BinaryPrimitives.ReadUInt32LittleEndian(page);
        for (; consumer != BinaryPrimitives.ReadUInt32LittleEndian(page[4..]); consumer++)
        {
            Span<byte> @event = page.Slice(1024 + ((int)(consumer % 51) * 40), 40);
            events.Add(
            [
                @event[0], @event[1], BinaryPrimitives.ReadInt32LittleEndian(@event[4..]), BinaryPrimitives.ReadInt32LittleEndian(@event[8..]),
                BinaryPrimitives.ReadInt32LittleEndian(@event[12..]),
            ]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(page, consumer);
        return events;
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        Assert.Equal((0, 0), (Guest.Mapped, Guest.Ports));
        Guest.Dispose();
    }
}
