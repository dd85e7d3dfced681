using System.Buffers.Binary;
using Shinano.Devices.Paravirtual.Block;
using Shinano.Storage;

namespace Shinano.Devices.Paravirtual.Tests.Block;

/// <summary>The block back end over a ring that the test assembles.</summary>
public sealed class BlockTests
{
    private const short Okay = 0;
    private const short Error = -1;
    private const short NotSupported = -2;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Sectors_are_read_and_written_in_the_places_that_segments_name(bool persistent)
    {
        await using BlockRig rig = await BlockRig.CreateAsync(persistent: persistent);
        byte[] before = await File.ReadAllBytesAsync(rig.Image, Cancellation);
        Assert.Equal(Okay, await rig.AskAsync(0, 10, (4, 2, 5), (5, 0, 7), (6, 7, 7)));
        Assert.True(rig.Guest.Page(4).Slice(1024, 2048).SequenceEqual(before.AsSpan(5120, 2048)));
        Assert.True(rig.Guest.Page(5).SequenceEqual(before.AsSpan(7168, 4096)));
        Assert.True(rig.Guest.Page(6)[3584..].SequenceEqual(before.AsSpan(11264, 512)));
        Assert.Equal(0, rig.Guest.Page(4)[..1024].IndexOfAnyExcept((byte)0) + 1);

        // A persistent grant is for writing, so page 48 is mapped once for this read alone.
        rig.Guest.Page(48).Fill(0xab);
        Assert.Equal(Okay, await rig.AskAsync(1, 100, (48, 0, 7)));
        Assert.Equal(Okay, await rig.AskAsync(1, 108, (4, 2, 5), (48, 0, 0)));
        Assert.Equal(Okay, await rig.AskAsync(3, 0));
        byte[] after = await File.ReadAllBytesAsync(rig.Image, Cancellation);
        Assert.True(after.AsSpan(51200, 4096).IndexOfAnyExcept((byte)0xab) < 0);
        Assert.True(after.AsSpan(55296, 2048).SequenceEqual(before.AsSpan(5120, 2048)));
        Assert.Equal(persistent ? 4 : 1, rig.Guest.Mapped);
    }

    [Fact]
    public async Task An_indirect_request_has_its_segments_in_a_page()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        byte[] before = await File.ReadAllBytesAsync(rig.Image, Cancellation);
        BlockRig.WriteSegments(rig.Guest.Page(1), [.. Enumerable.Range(4, 40).Select(i => ((uint)i, (byte)0, (byte)7))]);
        Assert.Equal(Okay, await rig.AskAsync(Indirect(0, 40, 64, 1)));
        for (int i = 0; i < 40; i++)
        {
            Assert.True(rig.Guest.Page((uint)(4 + i)).SequenceEqual(before.AsSpan((64 * 512) + (i * 4096), 4096)));
        }

        Assert.Equal(Error, await rig.AskAsync(Indirect(0, 257, 0, 1)));
        Assert.Equal(Error, await rig.AskAsync(Indirect(0, 0, 0, 1)));
        Assert.Equal(Error, await rig.AskAsync(Indirect(0, 1, 0, 9999)));
        Assert.Equal(Error, await rig.AskAsync(Indirect(6, 1, 0, 1)));
    }

    [Fact]
    public async Task What_makes_no_sense_is_an_error_and_changes_nothing()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        byte[] before = await File.ReadAllBytesAsync(rig.Image, Cancellation);
        Assert.Equal(Error, await rig.AskAsync(0, 0));
        Assert.Equal(Error, await rig.AskAsync(1, 0, (4, 5, 4)));
        Assert.Equal(Error, await rig.AskAsync(1, 0, (4, 0, 8)));
        Assert.Equal(Error, await rig.AskAsync(1, BlockRig.Sectors - 7, (4, 0, 7)));
        Assert.Equal(Error, await rig.AskAsync(1, ulong.MaxValue - 3, (4, 0, 7)));
        Assert.Equal(Error, await rig.AskAsync(1, 1UL << 55, (4, 0, 7)));
        Assert.Equal(Error, await rig.AskAsync(1, 0, (4, 0, 7), (64, 0, 7)));
        Assert.Equal(Error, await rig.AskAsync(0, 0, (48, 0, 7)));
        Assert.Equal(NotSupported, await rig.AskAsync(77, 0, (4, 0, 7)));
        byte[] tooMany = new byte[BlockRig.EntrySize];
        (tooMany[0], tooMany[1]) = (1, 12);
        Assert.Equal(Error, await rig.AskAsync(tooMany));
        Assert.Equal(before, await File.ReadAllBytesAsync(rig.Image, Cancellation));
        Assert.Equal(1, rig.Guest.Mapped);
    }

    [Fact]
    public async Task A_read_only_disk_is_not_written()
    {
        await using BlockRig rig = await BlockRig.CreateAsync(readOnly: true);
        Assert.Equal("4", rig.Store[$"{BlockRig.Back}/info"]);
        Assert.Equal(Error, await rig.AskAsync(1, 0, (4, 0, 7)));
        Assert.Equal(Error, await rig.AskAsync(2, 0, (4, 0, 7)));
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));
    }

    [Fact]
    public async Task Discarded_sectors_read_as_zeroes_and_barriers_write()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        byte[] discard = new byte[BlockRig.EntrySize];
        discard[0] = 5;
        BinaryPrimitives.WriteUInt64LittleEndian(discard.AsSpan(16), 8);
        BinaryPrimitives.WriteUInt64LittleEndian(discard.AsSpan(24), 16);
        Assert.Equal(Okay, await rig.AskAsync(discard));
        Assert.Equal(Okay, await rig.AskAsync(0, 8, (4, 0, 7)));
        Assert.True(rig.Guest.Page(4).IndexOfAnyExcept((byte)0) < 0);
        BinaryPrimitives.WriteUInt64LittleEndian(discard.AsSpan(24), ulong.MaxValue);
        Assert.Equal(Error, await rig.AskAsync(discard));
        discard[1] = 1;
        Assert.Equal(NotSupported, await rig.AskAsync(discard));
        rig.Guest.Page(4).Fill(0x5a);
        Assert.Equal(Okay, await rig.AskAsync(2, 0, (4, 0, 7)));
        Assert.Equal(0x5a, (await File.ReadAllBytesAsync(rig.Image, Cancellation))[4095]);
    }

    [Fact]
    public async Task A_front_end_closes_and_another_comes()
    {
        await using BlockRig rig = await BlockRig.CreateAsync(persistent: true);
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));
        rig.Store[$"{BlockRig.Front}/state"] = "5";
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "5", Cancellation);
        Assert.Equal((0, 0), (rig.Guest.Mapped, rig.Guest.Ports));
        rig.Store[$"{BlockRig.Front}/state"] = "6";
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "6", Cancellation);
        rig.Store[$"{BlockRig.Front}/state"] = "1";
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "2", Cancellation);
        await rig.ConnectAsync();
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));

        // And one that did not say good-bye.
        rig.Store[$"{BlockRig.Front}/state"] = "1";
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "2", Cancellation);
        Assert.Equal((0, 0), (rig.Guest.Mapped, rig.Guest.Ports));
        await rig.ConnectAsync();
        Assert.Equal(Okay, await rig.AskAsync(0, 0, (4, 0, 7)));
    }

    [Theory]
    [InlineData("ring-ref", "64")]
    [InlineData("ring-ref", "48")]
    [InlineData("ring-ref", "x")]
    [InlineData("event-channel", "0")]
    [InlineData("event-channel", "-1")]
    [InlineData("protocol", "arm-abi")]
    [InlineData("ring-page-order", "5")]
    [InlineData("multi-queue-num-queues", "100")]
    public async Task Nodes_that_make_no_sense_end_in_closing_with_a_reason(string node, string value)
    {
        await using BlockRig rig = await BlockRig.CreateAsync(connect: false);
        rig.Store[$"{BlockRig.Front}/ring-ref"] = "0";
        rig.Store[$"{BlockRig.Front}/event-channel"] = "3";
        rig.Store[$"{BlockRig.Front}/{node}"] = value;
        rig.Store[$"{BlockRig.Front}/state"] = "3";
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "5", Cancellation);
        Assert.NotNull(rig.Store[$"{BlockRig.Back}/error"]);
        Assert.Equal((0, 0), (rig.Guest.Mapped, rig.Guest.Ports));
    }

    [Fact]
    public async Task A_detached_disk_waits_for_its_front_end_and_a_forced_one_does_not()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        Task detach = rig.Registry.DetachAsync("vbd", "51712", force: false, Cancellation);
        await rig.Store.UntilAsync($"{BlockRig.Back}/state", "5", Cancellation);
        Assert.False(detach.IsCompleted);
        rig.Store[$"{BlockRig.Front}/state"] = "6";
        await detach;
        Assert.Equal("6", rig.Store[$"{BlockRig.Back}/state"]);
        await using BlockRig other = await BlockRig.CreateAsync();
        await other.Registry.DetachAsync("vbd", "51712", force: true, Cancellation);
        Assert.Equal((0, 0), (other.Guest.Mapped, other.Guest.Ports));
    }

    [Fact]
    public async Task A_larger_file_is_announced_and_a_medium_that_is_not_there_leaves_the_old_one()
    {
        await using BlockRig rig = await BlockRig.CreateAsync();
        BlockBackEnd disk = (BlockBackEnd)rig.Registry.Get("vbd", "51712");
        using (FileStream file = new(rig.Image, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(2 << 20);
        }

        await disk.ReplaceAsync(async token => await ImageFile.OpenAsync(new ImageReference(rig.Image, ImageFormat.Raw), token), Cancellation);
        Assert.Equal("4096", rig.Store[$"{BlockRig.Back}/sectors"]);
        Assert.Equal(Okay, await rig.AskAsync(0, 4088, (4, 0, 7)));
        await Assert.ThrowsAnyAsync<IOException>(() => disk.ReplaceAsync(
            async token => await ImageFile.OpenAsync(new ImageReference(rig.Image + ".not", ImageFormat.Raw), token), Cancellation));
        Assert.Equal(Okay, await rig.AskAsync(0, 4088, (4, 0, 7)));
    }

    private static byte[] Indirect(byte operation, ushort segments, ulong sector, uint page)
    {
        byte[] entry = new byte[BlockRig.EntrySize];
        (entry[0], entry[1]) = (6, operation);
        BinaryPrimitives.WriteUInt16LittleEndian(entry.AsSpan(2), segments);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(8), 99);
        BinaryPrimitives.WriteUInt64LittleEndian(entry.AsSpan(16), sector);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(28), page);
        return entry;
    }
}
