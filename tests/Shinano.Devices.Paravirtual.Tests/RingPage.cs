using System.Runtime.InteropServices;
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

    /// <summary>Writes nonsense, and steps that make sense for a moment so that the ring is in use between, and tells the back end of each.</summary>
    /// <param name="indices">Words of the page in which nonsense does most.</param>
    public void Scribble(Random random, int[] indices, Action notify) => Scribble(Memory.FrameMemory(Frame), random, indices, notify);

    /// <summary>The same on any page.</summary>
    public static void Scribble(Memory<byte> page, Random random, int[] indices, Action notify)
    {
        Span<uint> words = MemoryMarshal.Cast<byte, uint>(page.Span);
        for (int i = 0; i < 30_000; i++)
        {
            ref uint word = ref words[random.Next(4) == 0 ? random.Next(words.Length) : indices[random.Next(indices.Length)] / sizeof(uint)];
            word = random.Next(3) switch
            {
                0 => (uint)random.NextInt64(uint.MaxValue),
                1 => word + (uint)random.Next(2048),
                _ => words[indices[random.Next(indices.Length)] / sizeof(uint)],
            };
            notify();
        }
    }

    public void Dispose() => Memory.Dispose();

    private static GuestMemory NewMemory()
    {
        GuestMemory memory = new(Frame, 2);
        memory.AddRam(Frame, 1);
        return memory;
    }
}
