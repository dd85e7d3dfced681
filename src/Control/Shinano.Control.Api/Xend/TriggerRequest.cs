using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

public sealed record TriggerRequest(DomainTrigger Trigger, int Vcpu);
