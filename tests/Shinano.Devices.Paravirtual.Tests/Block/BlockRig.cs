using System.Buffers.Binary;
using System.Globalization;
using Shinano.Devices.Paravirtual.Block;
using Shinano.Devices.Paravirtual.Tests.XenBus;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Storage;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.Tests.Block;

/// <summary>A disk of 1 MiB in a file, attached to a fake guest whose ring is page 0 and whose front end the test plays.</summary>
internal sealed class BlockRig : IAsyncDisposable
{
    public const string Front = "/local/domain/5/device/vbd/51712";
    public const string Back = "/local/domain/0/backend/vbd/5/51712";
    public const int EntrySize = 112;
    public const int Sectors = 2048;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shi-blk");
    private uint _produced;
    private uint _consumed;

    private BlockRig()
    {
        Image = Path.Combine(_directory.FullName, "disk");
        byte[] content = new byte[Sectors * 512];
        new Random(7).NextBytes(content);
        File.WriteAllBytes(Image, content);
        Registry = new BackEndRegistry(Store, new DomainId(5), Guest);
    }

    public string Image { get; }

    public FakeGuest Guest { get; } = new();

    public FakeStore Store { get; } = new();

    public BackEndRegistry Registry { get; }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<BlockRig> CreateAsync(bool readOnly = false, bool persistent = false, bool connect = true)
    {
        BlockRig rig = new();
        rig.Store[$"{Front}/state"] = "1";
        BlockBackEnd disk = await BlockBackEnd.CreateAsync(
            new BlockSettings { Id = "51712", ReadOnly = readOnly, Discard = true },
            async token => await ImageFile.OpenAsync(new ImageReference(rig.Image, ImageFormat.Raw) { ReadOnly = readOnly }, token),
            Cancellation);
        await rig.Registry.AttachAsync(disk, Cancellation);
        if (connect)
        {
            await rig.ConnectAsync(persistent);
        }

        return rig;
    }

    public async Task ConnectAsync(bool persistent = false)
    {
        Guest.Page(0).Clear();
        (_produced, _consumed) = (0, 0);
        Store[$"{Front}/ring-ref"] = "0";
        Store[$"{Front}/event-channel"] = "3";
        Store[$"{Front}/feature-persistent"] = persistent ? "1" : "0";
        Store[$"{Front}/state"] = "3";
        await Store.UntilAsync($"{Back}/state", "4", Cancellation);
    }

    /// <summary>Puts a request on the ring and waits for its answer's status.</summary>
    public async Task<short> AskAsync(byte operation, ulong sector, params (uint Reference, byte First, byte Last)[] segments)
    {
        byte[] entry = new byte[EntrySize];
        entry[0] = operation;
        entry[1] = (byte)segments.Length;
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), 0x1234 + _produced);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), sector);
        WriteSegments(entry.AsSpan(24), segments);
        return await AskAsync(entry);
    }

    public static void WriteSegments(Span<byte> place, (uint Reference, byte First, byte Last)[] segments)
    {
        for (int i = 0; i < segments.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(place[(8 * i)..], segments[i].Reference);
            place[(8 * i) + 4] = segments[i].First;
            place[(8 * i) + 5] = segments[i].Last;
        }
    }

    public async Task<short> AskAsync(byte[] entry)
    {
        Put(entry);
        while (Volatile.Read(ref Word(8)) == _consumed)
        {
            await Guest.Notified.WaitAsync(Cancellation);
        }

        return Take(entry);
    }

    /// <summary>A word of the ring's head: 0 requests produced, 4 request event, 8 responses produced, 12 response event.</summary>
    public ref uint Word(int offset) => ref System.Runtime.InteropServices.MemoryMarshal.AsRef<uint>(Guest.Page(0).Slice(offset, 4));

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        Assert.Equal((0, 0), (Guest.Mapped, Guest.Ports));
        Guest.Dispose();
        _directory.Delete(recursive: true);
    }

    private void Put(byte[] entry)
    {
        entry.CopyTo(Guest.Page(0)[(64 + ((int)(_produced % 32) * EntrySize))..]);

        // As front ends do: an event at the next answer.
        Volatile.Write(ref Word(12), _consumed + 1);
        Volatile.Write(ref Word(0), ++_produced);
        Guest.Send!();
    }

    private short Take(byte[] request)
    {
        Span<byte> response = Guest.Page(0).Slice(64 + ((int)(_consumed++ % 32) * EntrySize), 12);
        Assert.Equal(BinaryPrimitives.ReadUInt64LittleEndian(request.AsSpan(8)), BinaryPrimitives.ReadUInt64LittleEndian(response));
        return BinaryPrimitives.ReadInt16LittleEndian(response[10..]);
    }

    internal static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
