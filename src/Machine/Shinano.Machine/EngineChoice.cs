using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Cpu.Interpreter;
using Shinano.Cpu.Translator;
using Shinano.Memory;

namespace Shinano.Machine;

/// <summary>The one place that knows the engines by name.</summary>
internal static class EngineChoice
{
    /// <summary>Engine of a domain that names none: the translator where the host's CPU has what it needs.</summary>
    public static string Default => TranslatorEngine.IsSupported ? Translator : Interpreter;

    private const string Translator = "translator";
    private const string Interpreter = "interpreter";

    /// <summary>Features that an engine can give a domain; fails for one that is unknown or cannot run here.</summary>
    /// <exception cref="DomainFailureException"><see cref="DomainFailureCode.CpuEngineUnavailable"/>.</exception>
    public static CpuFeatures FeaturesOf(string? name) => Checked(name) == Translator ? TranslatorEngine.Supported : InterpreterEngine.Supported;

    /// <summary>Makes the engine.</summary>
    /// <exception cref="DomainFailureException"><see cref="DomainFailureCode.CpuEngineUnavailable"/>.</exception>
    public static ICpuEngine Create(string? name, GuestMemory memory, CpuFeatures features, long? codeCacheBytes)
    {
        CpuEngineSettings settings = new(GuestKind.Paravirtual, features) { CodeCacheBytes = codeCacheBytes };
        return Checked(name) == Translator ? new TranslatorEngine(memory, settings) : new InterpreterEngine(memory, settings);
    }

    private static string Checked(string? name)
    {
        string chosen = name ?? Default;
        return chosen switch
        {
            Interpreter => chosen,
            Translator when TranslatorEngine.IsSupported => chosen,
            Translator => throw new DomainFailureException(
                DomainFailureCode.CpuEngineUnavailable, $"cpu_engine \"{chosen}\" needs a host CPU with BMI2 and AVX; use \"{Interpreter}\""),
            "kvm" => throw new DomainFailureException(
                DomainFailureCode.CpuEngineUnavailable, $"cpu_engine \"{chosen}\" is not in this version; use \"{Translator}\" or \"{Interpreter}\""),
            _ => throw new DomainFailureException(
                DomainFailureCode.CpuEngineUnavailable, $"cpu_engine \"{chosen}\" is unknown; use \"{Translator}\" or \"{Interpreter}\""),
        };
    }
}
