using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Cpu.Interpreter;
using Shinano.Memory;

namespace Shinano.Machine;

/// <summary>The one place that knows the engines by name.</summary>
internal static class EngineChoice
{
    /// <summary>Engine of a domain that names none.</summary>
    public const string Default = "interpreter";

    /// <summary>Features that an engine can give a domain; fails for one that is unknown or cannot run here.</summary>
    /// <exception cref="DomainFailureException"><see cref="DomainFailureCode.CpuEngineUnavailable"/>.</exception>
    public static CpuFeatures FeaturesOf(string? name) => Checked(name) switch
    {
        _ => InterpreterEngine.Supported,
    };

    /// <summary>Makes the engine.</summary>
    /// <exception cref="DomainFailureException"><see cref="DomainFailureCode.CpuEngineUnavailable"/>.</exception>
    public static ICpuEngine Create(string? name, GuestMemory memory, CpuFeatures features) => Checked(name) switch
    {
        _ => new InterpreterEngine(memory, new CpuEngineSettings(GuestKind.Paravirtual, features)),
    };

    private static string Checked(string? name) => (name ?? Default) switch
    {
        Default => Default,
        "translator" or "kvm" => throw new DomainFailureException(
            DomainFailureCode.CpuEngineUnavailable, $"cpu_engine \"{name}\" is not in this version; use \"interpreter\""),
        _ => throw new DomainFailureException(DomainFailureCode.CpuEngineUnavailable, $"cpu_engine \"{name}\" is unknown; use \"interpreter\""),
    };
}
