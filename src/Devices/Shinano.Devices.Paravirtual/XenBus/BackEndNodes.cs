using System.Globalization;
using Shinano.XenAbi;

namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>The two directories of a device in xenstore: the back end's own, and the front end's, whose every value is the guest's and hostile.</summary>
public sealed class BackEndNodes
{
    private readonly IBackEndStore _store;

    /// <param name="store">xenstore with a back end's rights.</param>
    /// <param name="domain">The front end's domain.</param>
    /// <param name="kind">Kind of device.</param>
    /// <param name="id">The device's number.</param>
    public BackEndNodes(IBackEndStore store, DomainId domain, string kind, string id)
    {
        _store = store;
        FrontPath = string.Create(CultureInfo.InvariantCulture, $"/local/domain/{domain.Value}/device/{kind}/{id}");
        BackPath = string.Create(CultureInfo.InvariantCulture, $"/local/domain/0/backend/{kind}/{domain.Value}/{id}");
    }

    /// <summary>The front end's directory.</summary>
    public string FrontPath { get; }

    /// <summary>The back end's directory.</summary>
    public string BackPath { get; }

    /// <summary>Writes a node of the back end.</summary>
    /// <param name="name">Relative to <see cref="BackPath"/>.</param>
    public Task PublishAsync(string name, string value, CancellationToken cancellation) => _store.WriteAsync($"{BackPath}/{name}", value, cancellation);

    /// <summary>Writes a node of the back end that holds a number.</summary>
    public Task PublishAsync(string name, long value, CancellationToken cancellation) =>
        PublishAsync(name, value.ToString(CultureInfo.InvariantCulture), cancellation);

    /// <summary>Removes a node of the back end.</summary>
    public Task WithdrawAsync(string name, CancellationToken cancellation) => _store.RemoveAsync($"{BackPath}/{name}", cancellation);

    /// <summary>Reads a node of the back end, which xend wrote; null when it is not there.</summary>
    public Task<string?> ReadOwnAsync(string name, CancellationToken cancellation) => _store.TryReadAsync($"{BackPath}/{name}", cancellation);

    /// <summary>Reads a node of the front end; null when it is not there.</summary>
    /// <param name="name">Relative to <see cref="FrontPath"/>, e.g. "queue-0/ring-ref".</param>
    public Task<string?> ReadAsync(string name, CancellationToken cancellation) => _store.TryReadAsync($"{FrontPath}/{name}", cancellation);

    /// <summary>Reads a number of the front end; the default when the node is not there.</summary>
    /// <exception cref="BackEndException">The node holds something else, or a number out of range.</exception>
    public async Task<uint> ReadNumberAsync(string name, uint minimum, uint maximum, uint whenMissing, CancellationToken cancellation)
    {
        string? text = await ReadAsync(name, cancellation).ConfigureAwait(false);
        if (text is null)
        {
            return whenMissing;
        }

        return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number >= minimum && number <= maximum
            ? number
            : throw new BackEndException($"{FrontPath}/{name} is no number from {minimum} to {maximum}");
    }

    /// <summary>Reads a number that the front end must have written, e.g. a grant reference or a port.</summary>
    /// <exception cref="BackEndException">It did not.</exception>
    public async Task<uint> RequireNumberAsync(string name, CancellationToken cancellation) =>
        uint.TryParse(await ReadAsync(name, cancellation).ConfigureAwait(false), NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? number
            : throw new BackEndException($"{FrontPath}/{name} is missing, or no number");

    /// <summary>Whether a node of the front end holds a number other than 0: how features are switched.</summary>
    public async Task<bool> ReadFlagAsync(string name, CancellationToken cancellation) =>
        uint.TryParse(await ReadAsync(name, cancellation).ConfigureAwait(false), NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number != 0;

    /// <summary>Has <paramref name="changed"/> called after changes of a node of the front end, until the result is disposed; it must not block.</summary>
    public Task<IDisposable> WatchAsync(string name, Action changed, CancellationToken cancellation) =>
        _store.WatchAsync($"{FrontPath}/{name}", changed, cancellation);

    internal async Task<XenbusState> ReadFrontStateAsync(CancellationToken cancellation) =>
        int.TryParse(await ReadAsync("state", cancellation).ConfigureAwait(false), NumberStyles.None, CultureInfo.InvariantCulture, out int state)
            ? (XenbusState)state
            : XenbusState.Unknown;
}
