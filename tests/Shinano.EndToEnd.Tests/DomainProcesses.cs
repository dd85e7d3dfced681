namespace Shinano.EndToEnd.Tests;

/// <summary>Which of a home's processes is what.</summary>
internal static class DomainProcesses
{
    /// <summary>The process of the only domain.</summary>
    public static int OfDomain(Host host) => Find(host, "Shinano.Machine.dll\0domain");

    public static int OfXend(Host host) => Find(host, "Shinano.Control.Daemon.dll");

    private static int Find(Host host, string words) => host.Processes().Single(id => Words(id).Contains(words, StringComparison.Ordinal));

    private static string Words(int id)
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
