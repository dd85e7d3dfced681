using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>The translator with a <see cref="ShadowMachine"/> beside its vCPU.</summary>
internal sealed class ShadowEngine(GuestMemory memory, CpuFeatures features, int threshold, ulong goal) : ICpuEngine
{
    private readonly TranslatorEngine _engine = new(memory, new CpuEngineSettings(GuestKind.Paravirtual, features), TranslatorEngine.DefaultCodeCapacity, threshold);

    public static CpuFeatures Supported => InterpreterEngine.Supported;

    public string Name => _engine.Name;

    public GuestMemory Memory => _engine.Memory;

    public ShadowMachine Shadow { get; } = new(memory, features, goal);

    public VirtualCpu CreateVirtualCpu() => new ShadowCpu(_engine, _engine.Interpreter, Shadow);

    public IReadOnlyList<CpuCounter> ReadCounters() => _engine.ReadCounters();

    public bool SetProbe(ulong physical) => _engine.SetProbe(physical);

    public bool ClearProbe(ulong physical) => _engine.ClearProbe(physical);

    public void Dispose()
    {
        _engine.Dispose();
        Shadow.Dispose();
    }
}
