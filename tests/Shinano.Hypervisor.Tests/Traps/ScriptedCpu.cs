using Shinano.Cpu;

namespace Shinano.Hypervisor.Tests.Traps;

/// <summary>A CPU that executes no code: each run gives the next exit of a script, or waits to be kicked when the script is over.</summary>
public sealed unsafe class ScriptedCpu : VirtualCpu
{
    public delegate void Step(CpuState* state, ref CpuExit exit);

    private readonly Queue<Step> _steps = new();

    public override ulong InstructionCount => 0;

    public override IReadOnlyList<CpuCounter> ReadCounters() => [];

    public int Flushes { get; private set; }

    /// <summary>What <see cref="FlushChanged"/> was called with: the context, and whether the lower half may stay.</summary>
    public List<(int Context, bool KeepsLowerHalf)> ChangedFlushes { get; } = [];

    /// <summary>The frames of its last call, unless they were too many.</summary>
    public ulong[] ChangedFrames { get; private set; } = [];

    public ScriptedCpu Then(Step step)
    {
        _steps.Enqueue(step);
        return this;
    }

    public override void FlushTranslations() => Flushes++;

    public override void FlushContext(int context) => Flushes++;

    public override void FlushChanged(int context, FrameFilter changed, bool keepsLowerHalf)
    {
        ChangedFlushes.Add((context, keepsLowerHalf));
        ChangedFrames = changed.TryList(out ReadOnlySpan<ulong> frames) ? frames.ToArray() : [];
    }

    public override void FlushPage(ulong linear) => Flushes++;

    protected override void RunCore(ref CpuExit exit)
    {
        if (_steps.TryDequeue(out Step? step))
        {
            step(State, ref exit);
        }
        else
        {
            exit.Kind = CpuExitKind.Kicked;
        }
    }
}
