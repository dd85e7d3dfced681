using Shinano.Memory;

namespace Shinano.Devices.Paravirtual.Tests;

/// <summary>A page that plays the guest's side of its rings.</summary>
internal sealed class RingPage : IDisposable
{
    public const ulong Frame = 0x100;

    public GuestMemory Memory { get; } = NewMemory();

    public ref uint Word(int offset) => ref Memory.Shared<uint>((Frame << GuestMemory.PageShift) + (uint)offset);

    /// <summary>Puts bytes on a ring as a guest does; the caller sees to it that there is room.</summary>
    public void Put(int buffer, int size, int producer, ReadOnlySpan<byte> bytes)
    {
        uint start = Volatile.Read(ref Word(producer));
        for (int i = 0; i < bytes.Length; i++)
        {
            Memory.FrameSpan(Frame)[buffer + (int)((start + (uint)i) % (uint)size)] = bytes[i];
        }

        Volatile.Write(ref Word(producer), start + (uint)bytes.Length);
    }

    /// <summary>Takes all that is on a ring.</summary>
    public byte[] Take(int buffer, int size, int consumer, int producer)
    {
        uint start = Volatile.Read(ref Word(consumer));
        uint end = Volatile.Read(ref Word(producer));
        byte[] bytes = new byte[end - start];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = Memory.FrameSpan(Frame)[buffer + (int)((start + (uint)i) % (uint)size)];
        }

        Volatile.Write(ref Word(consumer), end);
        return bytes;
    }

    public void Dispose() => Memory.Dispose();

    private static GuestMemory NewMemory()
    {
        GuestMemory memory = new(Frame, 2);
        memory.AddRam(Frame, 1);
        return memory;
    }
}
