using System.Text.Json;

namespace Shinano.Control.Api.Xend;

/// <summary>What <c>xm list -l</c> shows of one domain.</summary>
public sealed record DomainDetails
{
    public required DomainSummary Summary { get; init; }

    /// <summary>The configuration it was made of, as xend keeps it; null for Domain-0.</summary>
    public JsonElement? Configuration { get; init; }

    /// <summary>Socket of its console; null when it does not run.</summary>
    public string? ConsoleSocket { get; init; }

    public string? ConsoleLog { get; init; }

    /// <summary>Its further consoles, when it runs.</summary>
    public IReadOnlyList<ChannelDetails> Channels { get; init; } = [];

    public int? ProcessId { get; init; }

    public string? KernelDescription { get; init; }
}
