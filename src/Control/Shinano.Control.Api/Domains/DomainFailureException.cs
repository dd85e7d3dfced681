using System.Text.Json;
using StreamJsonRpc;

namespace Shinano.Control.Api.Domains;

/// <summary>
/// A <see cref="DomainFailure"/> on its way. Thrown inside a domain process's <see cref="IDomainProcess"/> methods it arrives at xend with code and
/// message intact (read it there with <see cref="TryRead"/>).
/// </summary>
public sealed class DomainFailureException : LocalRpcException
{
    /// <summary>JSON-RPC error code that marks the data as a <see cref="DomainFailure"/>.</summary>
    public const int RpcErrorCode = 4217;

    public DomainFailureException(DomainFailureCode code, string message, Exception? inner = null)
        : this(new DomainFailure(code, message), inner)
    {
    }

    public DomainFailureException(DomainFailure failure, Exception? inner = null)
        : base(failure.Message, inner)
    {
        Failure = failure;
        ErrorCode = RpcErrorCode;
        ErrorData = failure;
    }

    public DomainFailure Failure { get; }

    /// <summary>The failure inside an exception from a proxy, or null when it is something else.</summary>
    public static DomainFailure? TryRead(RemoteInvocationException exception)
    {
        if (exception.ErrorCode != RpcErrorCode || exception.ErrorData is not JsonElement data)
        {
            return null;
        }

        try
        {
            return data.Deserialize<DomainFailure>(ControlJson.Options);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
