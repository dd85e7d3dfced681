namespace Shinano.Control.Api.Domains;

/// <summary>What <c>xm trigger</c> can send (public/domctl.h: XEN_DOMCTL_SENDTRIGGER_*).</summary>
public enum DomainTrigger
{
    Nmi = 0,
    Reset = 1,
    Init = 2,
    Power = 3,
    Sleep = 4,
}
