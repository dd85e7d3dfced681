using CsCheck;

namespace Shinano.Devices.Paravirtual.Tests;

public sealed class SharedRingTests
{
    private const int Size = 16;

    [Fact]
    public void Whatever_the_indices_the_ring_stays_in_its_buffer() =>
        Gen.Select(Gen.UInt, Gen.UInt, Gen.Byte.Array[0, 40]).Sample(
            (consumer, producer, bytes) =>
            {
                using RingPage page = new();
                page.Memory.FrameSpan(RingPage.Frame).Fill(0xEE);
                (page.Word(100), page.Word(104)) = (consumer, producer);
                SharedRing ring = new(new HeldFrame(page.Memory, RingPage.Frame), 32, Size, 100, 104);
                uint used = producer - consumer;
                Assert.Equal(used > Size, ring.IsBroken);
                int read = ring.Peek(new byte[64]);
                Assert.Equal(used > Size ? 0 : (int)used, read);
                int written = ring.Produce(bytes);
                Assert.Equal(used > Size ? 0 : Math.Min(bytes.Length, Size - (int)used), written);
                Span<byte> all = page.Memory.FrameSpan(RingPage.Frame);
                Assert.Equal(-1, all[..32].IndexOfAnyExcept((byte)0xEE));
                Assert.Equal(-1, all[(32 + Size)..100].IndexOfAnyExcept((byte)0xEE));
                Assert.Equal(-1, all[108..].IndexOfAnyExcept((byte)0xEE));
            },
            iter: 2000);

    [Fact]
    public void Bytes_come_out_as_they_went_in_across_the_wrap_of_the_indices()
    {
        using RingPage page = new();
        (page.Word(100), page.Word(104)) = (uint.MaxValue - 2, uint.MaxValue - 2);
        SharedRing ring = new(new HeldFrame(page.Memory, RingPage.Frame), 32, Size, 100, 104);
        byte[] sent = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        Assert.Equal(10, ring.Produce(sent));
        byte[] received = new byte[10];
        Assert.Equal(10, ring.Peek(received));
        ring.Consume(10);
        Assert.Equal(sent, received);
        Assert.Equal(0, ring.Peek(received));
    }

    [Fact]
    public void A_frame_that_left_the_domain_is_an_empty_ring()
    {
        using RingPage page = new();
        SharedRing ring = new(new HeldFrame(page.Memory, RingPage.Frame), 32, Size, 100, 104);
        page.Memory.RemoveRam(RingPage.Frame);
        Assert.Equal(0, ring.Peek(new byte[4]));
        Assert.Equal(0, ring.Produce([1]));
        ring.Consume(1);
        Assert.False(ring.IsBroken);
    }
}
