namespace Shinano.EndToEnd.Tests;

/// <summary>Which of a home's processes is what.</summary>
internal static class DomainProcesses
{
    /// <summary>The process of the only domain.</summary>
    public static int OfDomain(Host host) => host.Processes().Single(id => Words(id).Contains("Shinano.Machine.dll\0domain", StringComparison.Ordinal));

    /// <summary>A process's command line, its words each followed by a NUL; empty when it has ended.</summary>
    public static string Words(int id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/cmdline");
        }
        catch (IOException)
        {
            return "";
        }
    }
}
