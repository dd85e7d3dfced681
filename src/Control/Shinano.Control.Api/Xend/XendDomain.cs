using System.Globalization;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>A running domain that a program, a test above all, has made and that goes when the program is done with it.</summary>
/// <param name="xend">Where the domain is; not disposed with this.</param>
/// <param name="domain">The domain.</param>
public sealed class XendDomain(XendClient xend, CreatedDomain domain) : IAsyncDisposable
{
    private static int s_copies;

    /// <summary>The domain's number.</summary>
    public int Id => domain.Id;

    /// <summary>Its name.</summary>
    public string Name => domain.Name;

    /// <summary>Its uuid.</summary>
    public Guid Uuid => domain.Uuid;

    /// <summary>Creates a domain.</summary>
    /// <param name="configuration">Text in xl.cfg(5) syntax; relative paths start from the working directory.</param>
    /// <exception cref="XendFailureException">xend refuses.</exception>
    public static async Task<XendDomain> CreateAsync(XendClient xend, string configuration, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(xend);
        ConfigurationRequest request = new() { FileName = "<configuration>", Text = configuration, WorkingDirectory = Environment.CurrentDirectory };
        return new XendDomain(xend, await xend.CreateAsync(request, null, cancellationToken)
            ?? throw new XendFailureException(new DomainFailure(DomainFailureCode.Internal, "xend made no domain and gave no reason")));
    }

    /// <summary>
    /// Makes a running copy, which shares this domain's memory and disks until it writes to them. What it writes is gone with it.
    /// </summary>
    /// <param name="name">Null for a name that nobody has.</param>
    /// <exception cref="XendFailureException">xend refuses; this domain goes on.</exception>
    public async Task<XendDomain> ForkAsync(string? name = null, CancellationToken cancellationToken = default)
    {
        name ??= string.Create(CultureInfo.InvariantCulture, $"{Name}-{Environment.ProcessId}-{Interlocked.Increment(ref s_copies)}");
        ForkResult result = await xend.ForkAsync(Name, new ForkRequest(name, Temporary: true), cancellationToken);
        return new XendDomain(xend, result.Domains[0]);
    }

    /// <summary>Connects to the console. It begins with what was said before, in a copy also what was said before it was one.</summary>
    /// <exception cref="IOException">The domain has ended.</exception>
    public Task<DomainConsole> OpenConsoleAsync(CancellationToken cancellationToken = default) => DomainConsole.OpenAsync(domain.ConsoleSocket, cancellationToken);

    /// <summary>Removes the domain.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await xend.DestroyAsync(Id.ToString(CultureInfo.InvariantCulture), CancellationToken.None);
        }
        catch (XendFailureException e) when (e.Failure.Code == DomainFailureCode.NoSuchDomain)
        {
            // Its guest has ended, and it with it.
        }
    }
}
