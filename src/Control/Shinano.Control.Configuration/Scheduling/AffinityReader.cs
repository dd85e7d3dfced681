using System.Globalization;
using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Scheduling;

/// <summary>Reads <c>cpus</c>: one list of host CPUs for all vCPUs, or a list of lists, one for each vCPU. Source: xl.cfg(5): cpus.</summary>
internal sealed class AffinityReader(ConfigurationEntry entry, DiagnosticList diagnostics)
{
    /// <summary>For each vCPU its CPUs, none for all.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Read(int maxVcpus)
    {
        if (entry.Value is not ListValue list)
        {
            IReadOnlyList<int> cpus = ReadOne(entry.Value);
            return cpus.Count == 0 ? [] : [.. Enumerable.Repeat(cpus, maxVcpus)];
        }

        if (list.Items.Count > maxVcpus)
        {
            diagnostics.Warning(
                entry.Source, entry.Position, entry.Key, $"cpus has {list.Items.Count} entries for {maxVcpus} vCPUs; those behind the first {maxVcpus} are ignored");
        }

        return [.. list.Items.Take(maxVcpus).Select(ReadOne)];
    }

    private IReadOnlyList<int> ReadOne(ConfigValue value)
    {
        string? text = value switch
        {
            StringValue { Text: "" } => "all",
            StringValue given => given.Text,
            NumberValue number => number.Number.ToString(CultureInfo.InvariantCulture),
            _ => null,
        };
        if (text is null || CpuList.TryParse(text) is not { } cpus)
        {
            diagnostics.Error(entry.Source, entry.Locate?.Invoke(value.Offset) ?? entry.Position, entry.Key, $"cpus must be {CpuList.Form}");
            return [];
        }

        return cpus;
    }
}
