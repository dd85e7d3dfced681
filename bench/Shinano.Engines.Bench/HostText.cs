namespace Shinano.Engines.Bench;

/// <summary>The machine that the figures are of.</summary>
internal static class HostText
{
    /// <summary>Processor, cores, kernel.</summary>
    public static string Describe()
    {
        string model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) ?? ":unknown";
        return $"{model[(model.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim()}, {Environment.ProcessorCount} cores, {Environment.OSVersion.Version}";
    }

    /// <summary>Load average of the last minute.</summary>
    public static string Load() => File.ReadAllText("/proc/loadavg").Split(' ')[0];
}
