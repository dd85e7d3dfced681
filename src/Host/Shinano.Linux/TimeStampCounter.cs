using System.Diagnostics;

namespace Shinano.Linux;

/// <summary>The host's time-stamp counter (RDTSC), which guests read unscaled.</summary>
public static unsafe class TimeStampCounter
{
    private static readonly ExecutableMemory Code = Emit();
    private static readonly Lazy<long> LazyFrequency = new(Calibrate);

    /// <summary>The counter now, in ticks; read after all loads before the call, as RDTSCP does (SDM 2B, RDTSC).</summary>
    public static ulong Read()
    {
        // SAFETY: Emit wrote a complete function without arguments at this address.
        return ((delegate* unmanaged<ulong>)Code.Executable)();
    }

    /// <summary>Ticks per second, measured against CLOCK_MONOTONIC once per process (takes some 30 ms the first time).</summary>
    public static long Frequency => LazyFrequency.Value;

    private static ExecutableMemory Emit()
    {
        // lfence; rdtsc; shl rdx, 32; or rax, rdx; ret
        ReadOnlySpan<byte> function = [0x0F, 0xAE, 0xE8, 0x0F, 0x31, 0x48, 0xC1, 0xE2, 0x20, 0x48, 0x09, 0xD0, 0xC3];
        ExecutableMemory memory = new(4096);

        // SAFETY: the memory is a page, the function thirteen bytes.
        function.CopyTo(new Span<byte>(memory.Writable, function.Length));
        return memory;
    }

    private static long Calibrate()
    {
        (long startTime, ulong startTicks) = Sample();
        while (Stopwatch.GetElapsedTime(startTime) < TimeSpan.FromMilliseconds(30))
        {
            Thread.SpinWait(100);
        }

        (long endTime, ulong endTicks) = Sample();
        double hertz = (endTicks - startTicks) * (double)Stopwatch.Frequency / (endTime - startTime);

        // The crystal's multiple is a round number of kHz; so is what a kernel prints.
        return (long)Math.Round(hertz / 1000) * 1000;
    }

    /// <summary>Both clocks at one moment: the sample of several whose reading took the least time.</summary>
    private static (long Time, ulong Ticks) Sample()
    {
        (long Time, ulong Ticks) best = default;
        ulong shortest = ulong.MaxValue;
        for (int i = 0; i < 50; i++)
        {
            ulong before = Read();
            long time = Stopwatch.GetTimestamp();
            ulong after = Read();
            if (after - before < shortest)
            {
                shortest = after - before;
                best = (time, before + (shortest / 2));
            }
        }

        return best;
    }
}
